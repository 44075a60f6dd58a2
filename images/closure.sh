#!/bin/sh
# closure.sh LIST DEST copies into DEST what LIST names and nothing else: the
# files themselves, the shared libraries they are linked with, and for every
# Debian package that any of them came from its licence and its record, so that
# scanners still see what the image holds. It runs at build time only: the
# images end up without a shell, a package manager or a set-uid program.
#
# LIST holds one path or pattern a line; a directory stands for all it contains.
# What a program opens by name at run time (modules, tables) must be listed: the
# linker doesn't know of it. A line that matches nothing is an error.
set -eu
list=$1
dest=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Debian's /bin, /lib … are links into /usr: everything gets the one real name.
sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$list" | while read -r pattern; do
	# shellcheck disable=SC2086 # a pattern is meant to be expanded
	for path in $pattern; do
		[ -e "$path" ] || { echo "$list: nothing matches $pattern" >&2; exit 1; }
		find "$path" -not -type d
	done
done >"$work/named"

while read -r path; do
	case $(head -c 4 "$path" | od -An -c | tr -d ' ') in
	177ELF) ldd "$path" ;;
	esac
done <"$work/named" 2>/dev/null | awk '
	/not found/ { print "missing library: " $0 >"/dev/stderr"; exit 1 }
	$2 == "=>" && $3 ~ /^\// { print $3 }
	$1 ~ /^\// { print $1 }' >"$work/libraries"

sort -u "$work/named" "$work/libraries" | while read -r path; do
	while :; do
		path=$(readlink -f "${path%/*}")/${path##*/}
		echo "$path"
		[ -L "$path" ] || break
		target=$(readlink "$path")
		case $target in
		/*) path=$target ;;
		*) path=${path%/*}/$target ;;
		esac
		[ -e "$path" ] || break
	done
done | sort -u >"$work/files"

mkdir -p "$dest/var/lib/dpkg/status.d" "$dest/usr/bin" "$dest/usr/sbin" "$dest/usr/lib"
for name in bin sbin lib; do ln -s "usr/$name" "$dest/$name"; done
if [ -L /lib64 ]; then
	mkdir -p "$dest/usr/lib64"
	ln -s usr/lib64 "$dest/lib64"
fi
tar -C / --no-recursion -cf - -T "$work/files" 2>/dev/null | tar -C "$dest" -xf -

# dpkg may have recorded a file below /lib although it lies in /usr/lib.
{ cat "$work/files"; sed -nE 's#^/usr/(s?bin|lib|lib64)/#/\1/#p' "$work/files"; } |
	xargs dpkg-query -S 2>/dev/null | sed -n 's/^\([^ ]*\): .*/\1/p' | tr -d ',' | sort -u >"$work/packages"
while read -r package; do
	name=${package%%:*}
	dpkg-query -s "$package" >"$dest/var/lib/dpkg/status.d/$name"
	if [ -e "/usr/share/doc/$name/copyright" ]; then
		mkdir -p "$dest/usr/share/doc/$name"
		cp -L "/usr/share/doc/$name/copyright" "$dest/usr/share/doc/$name/"
	fi
done <"$work/packages"

find "$dest" -perm /6000 -type f -exec chmod a-s {} +
