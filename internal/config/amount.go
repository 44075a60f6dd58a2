package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// Size is an amount of bytes.
type Size int64

var sizeSyntax = regexp.MustCompile(`^([0-9]{1,18})(\.[0-9]{1,6})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$`)

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"Pi", 1 << 50}, {"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10},
	{"P", 1e15}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3},
}

// ParseSize reads an amount such as 4Gi, 500M or 1.5Ti, as Kubernetes does.
func ParseSize(text string) (Size, error) {
	match := sizeSyntax.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%q is not an amount of bytes", text)
	}
	factor := int64(1)
	for _, unit := range sizeUnits {
		if unit.suffix == match[3] {
			factor = unit.bytes
		}
	}
	number, err := strconv.ParseFloat(match[1]+match[2], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not an amount of bytes", text)
	}
	bytes := number * float64(factor)
	if bytes >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is more than any disk holds", text)
	}
	return Size(bytes), nil
}

// String is the shortest exact spelling; binary units are preferred.
func (s Size) String() string {
	for _, unit := range sizeUnits {
		if s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText makes JSON and YAML show what people write.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Duration is a length of time that may be written in days.
type Duration time.Duration

// Day is 24 hours: retentions don't care about summer time.
const Day = Duration(24 * time.Hour)

var durationSyntax = regexp.MustCompile(`^([0-9]{1,6})(s|m|h|d|w|y)$`)

var durationUnits = []struct {
	suffix string
	length Duration
}{
	{"d", Day}, {"h", Duration(time.Hour)}, {"m", Duration(time.Minute)}, {"s", Duration(time.Second)},
	{"w", 7 * Day}, {"y", 365 * Day},
}

// ParseDuration reads one number with one unit: 90d, 1h, 2w, 1y.
func ParseDuration(text string) (Duration, error) {
	match := durationSyntax.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%q is not a length of time", text)
	}
	number, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a length of time", text)
	}
	for _, unit := range durationUnits {
		if unit.suffix == match[2] {
			if number > math.MaxInt64/int64(unit.length) {
				return 0, errors.New("that is longer than anybody waits")
			}
			return Duration(number) * unit.length, nil
		}
	}
	return 0, fmt.Errorf("%q has no unit", text)
}

// Days is the length in whole days.
func (d Duration) Days() int { return int(d / Day) }

// String is the spelling of the file: days before hours before minutes.
func (d Duration) String() string {
	for _, unit := range durationUnits[:4] {
		if d%unit.length == 0 {
			return strconv.FormatInt(int64(d/unit.length), 10) + unit.suffix
		}
	}
	return time.Duration(d).String()
}

// MarshalText makes JSON and YAML show what people write.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
