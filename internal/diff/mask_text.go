package diff

import (
	"regexp"
	"strings"
)

// inTexts is what is secret in a text of any format: the group of each.
var inTexts = []*regexp.Regexp{
	regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)(?:-----END|$)`),
	regexp.MustCompile(`://[^\s:/@"'<>]*:([^\s"'<>]+)@`),                                            // scheme://user:PASSWORD@host
	regexp.MustCompile(`https?://([^\s:/@"'<>]+)@`),                                                 // https://TOKEN@host
	regexp.MustCompile(`\w:([^\s"'<>]+)@(?:tcp|unix)\(`),                                            // user:PASSWORD@tcp(host)
	regexp.MustCompile(`(?i)\bbearer\s+([^\s"']+)`),                                                 // in headers
	regexp.MustCompile(`(?i)\bbasic\s+([a-z0-9+/]{6,}=*)`),                                          // in headers
	regexp.MustCompile(`(?:^|\s)(?:-u|--user|--proxy-user)[=\s]*["']?[^\s:"']+:([^\s"']+)`),         // curl
	regexp.MustCompile(`(?:^|\s)-U[=\s]*["']?[^\s%"']+%([^\s"']+)`),                                 // smbclient
	regexp.MustCompile(`\b(?:echo|printf)\s+(.+?)\s*\|[^|]*(?:login|passw|stdin)`),                  // into what reads a password
	regexp.MustCompile(`\b((?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AKIA|eyJ[\w-]+\.)[\w.-]+)`), // tokens that say what they are
	regexp.MustCompile(`(\$(?:[1256y]|2[aby]|apr1|argon2\w*)\$[^\s:"',]+)`),                         // a password's hash, which can be guessed
}

// pairs are names and values, the groups of each, that an assignment isn't.
var pairs = []*regexp.Regexp{
	regexp.MustCompile(`<([\w.:-]+)[^<>]*>([^<]+)<`),
	regexp.MustCompile(`\b(?:name|key)["']?\s*[:=]\s*["']?([\w.-]+)["']?,?\s+["']?value["']?\s*[:=]\s*("[^"]*"|'[^']*'|[^\s"'][^\n]*)`),
	regexp.MustCompile(`(?:^|[\s"'(\[,])(--?[A-Za-z][\w.-]*)[ \t]+("[^"]*"|'[^']*'|[^\s"'-]\S*)`),
	regexp.MustCompile(`(?:^|[\s"'(\[,])(--?[A-Za-z][\w.-]*)(?:["'],\s*|["']?[ \t]*\n\s*- +)["']?([^"'\n]+)`), // in a list
}

var (
	beforeContent = regexp.MustCompile(`^[ \t]*(?:- +)*`)
	sectionTitle  = regexp.MustCompile(`^\[+([^\]=,"]+)\]+\s*$`)
	twoWords      = regexp.MustCompile(`^([A-Za-z][\w.-]*)[ \t]+("[^"]*"|'[^']*'|\S+?)[ \t]*;?$`)
	gluedFlag     = regexp.MustCompile(`\s-[pa]([^\s-]\S*)`)
	// A name may be two words, and quotes may be escaped.
	assignment = regexp.MustCompile(`((?:[A-Za-z]\w* )?[\w./-]*[A-Za-z][\w./-]*)(\\*["']?[ \t]*(?:=>|:=|[:=])[ \t]*)`)
	quoted     = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(?:[\s,;}\])&|<>]|$)`)
	ofJSON     = regexp.MustCompile(`^[\w.+-]+`)
	shellWord  = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+`)
	toBlock    = regexp.MustCompile(`^(?:[|>][-+0-9]*)?(?:\s*#.*)?\s*$`)
)

// text masks what is secret in a text: a file of a ConfigMap, an argument, a
// script.
func (m *mask) text(text string) string {
	for _, expression := range inTexts {
		text = m.groups(expression, text, func(string, string) bool { return true })
	}
	for _, expression := range pairs {
		text = m.groups(expression, text, secretFlag)
	}
	lines := strings.SplitAfter(text, "\n")
	section := false
	below := block{indent: -1}
	for i, line := range lines {
		indent := len(beforeContent.FindString(line))
		content := strings.TrimRight(line[indent:], "\r\n")
		masked := ""
		if below.goesOn(indent, content) {
			masked = m.rest(content)
		} else {
			if title := sectionTitle.FindStringSubmatch(content); title != nil {
				section = secretName(title[1])
			}
			masked, below = m.line(content, section)
			below.indent += indent
		}
		lines[i] = line[:indent] + masked + line[indent+len(content):]
	}
	return strings.Join(lines, "")
}

func secretName(name string) bool { return open.below(name) == named }

// secretFlag says whether a flag's value is secret: by its name, or because of
// the program that stands before it.
func secretFlag(flag, before string) bool {
	return secretName(flag) || shortFlag.MatchString(flag) && logsIn.MatchString(before)
}

// groups masks what the last group of an expression matches; another one before
// it is its name.
func (m *mask) groups(expression *regexp.Regexp, text string, secret func(name, before string) bool) string {
	var masked strings.Builder
	last := 0
	for _, at := range expression.FindAllStringSubmatchIndex(text, -1) {
		from, to := at[len(at)-2], at[len(at)-1]
		if secret(text[at[2]:at[3]], text[:at[2]]) {
			masked.WriteString(text[last:from] + m.rest(text[from:to]))
			last = to
		}
	}
	return masked.String() + text[last:]
}

// block are lines that belong to a secret of the line above.
type block struct {
	indent   int // of the line above; below 0: there is none
	brackets int // that are open
}

func (b *block) goesOn(indent int, content string) bool {
	if b.indent < 0 || content != "" && b.brackets <= 0 && indent <= b.indent {
		return false
	}
	b.brackets += brackets(content)
	return true
}

func brackets(text string) int {
	return strings.Count(text, "{") + strings.Count(text, "[") - strings.Count(text, "}") - strings.Count(text, "]")
}

// line masks the secrets of one line, all says that all its values are, and
// returns the block that follows.
func (m *mask) line(line string, all bool) (masked string, below block) {
	none := block{indent: -1 << 20}
	if two := twoWords.FindStringSubmatchIndex(line); two != nil && (all || secretName(line[two[2]:two[3]])) {
		return line[:two[4]] + m.rest(line[two[4]:two[5]]) + line[two[5]:], none
	}
	if at := logsIn.FindStringIndex(line); at != nil {
		line = line[:at[1]] + m.groups(gluedFlag, line[at[1]:], func(string, string) bool { return true })
	}
	var done strings.Builder
	for {
		at := assignment.FindStringSubmatchIndex(line)
		if at == nil {
			return done.String() + line, none
		}
		name, separator, value := line[at[2]:at[3]], line[at[4]:at[5]], line[at[1]:]
		ofCommand := strings.HasPrefix(name, "-") && done.Len()+at[2] > 0
		done.WriteString(line[:at[1]])
		line = value
		if !all && !secretName(name) {
			continue
		}
		if toBlock.MatchString(value) {
			return done.String() + value, block{}
		}
		end := 0
		if quoted.MatchString(value) {
			end = len(strings.TrimRight(quoted.FindString(value), " \t,;}])&|<>"))
		} else if strings.Contains(separator, `"`) {
			end = len(ofJSON.FindString(value))
		} else if ofCommand {
			end = len(shellWord.FindString(value))
		}
		if end == 0 { // nobody knows where it ends
			return done.String() + m.rest(value), block{brackets: max(0, brackets(value))}
		}
		hidden := m.rest(value[:end])
		if quote := value[:1]; strings.ContainsAny(quote, `"'`) && value[end-1:end] == quote {
			hidden = quote + m.rest(value[1:end-1]) + quote
		}
		done.WriteString(hidden)
		line = value[end:]
	}
}
