#!/usr/bin/env bash
# Speaks the lines of `denwaban demo` with Open JTalk: 8 kHz, mono, 16 bit. The citizen's voice is the same one, lower.
set -euo pipefail
cd "$(dirname "$0")"
dictionary=/var/lib/mecab/dic/open-jtalk/naist-jdic
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
voice=${VOICE:-}
if [ -z "$voice" ]; then
    python3 -m pip download --quiet --no-deps --dest "$work" pyopenjtalk-plus
    python3 -m zipfile -e "$work"/pyopenjtalk_plus-*.whl "$work"
    voice=$work/pyopenjtalk/htsvoice/mei_normal.htsvoice
fi

# speak NAME HALF_TONES TEXT
speak() {
    printf '%s\n' "$3" >"$work/$1.txt"
    open_jtalk -x "$dictionary" -m "$voice" -fm "$2" -ow "$work/$1.wav" "$work/$1.txt"
    sox -R -D "$work/$1.wav" -r 8000 -c 1 -b 16 "$1.wav" sinc 200-3600 norm -6
}

speak department-greeting 0 'はい、市民課でございます。ご用件をどうぞ。'
speak citizen-question -5 'もしもし。住民票の写しは、日曜日でも取れますか。'
speak department-answer 0 'マイナンバーカードがあれば、コンビニエンスストアで、毎日お取りいただけます。'
speak citizen-thanks -5 'わかりました。ありがとうございました。'
