#!/usr/bin/env bash
# Makes the videos of this folder anew with ffmpeg: two frames of a test card, in what the service takes and what it does not.
set -euo pipefail
cd "$(dirname "$0")"
run() { ffmpeg -hide_banner -loglevel error -y -fflags +bitexact "$@"; }
card=(-f lavfi -i testsrc=size=32x32:rate=5:duration=0.4)
tone=(-f lavfi -i sine=frequency=440:duration=0.4)
run "${card[@]}" "${tone[@]}" -c:v libx264 -c:a aac -b:a 16k -flags +bitexact h264.mp4
run "${card[@]}" -c:v libx264 -movflags +frag_keyframe+empty_moov -flags +bitexact frag.mp4
run "${card[@]}" -c:v libx265 -x265-params log-level=none -flags +bitexact h265.mov
run "${card[@]}" -c:v libx264 -flags +bitexact h264.mkv
run "${card[@]}" -c:v libvpx-vp9 -flags +bitexact vp9.webm
run "${card[@]}" -c:v libvpx -flags +bitexact vp8.webm
run "${card[@]}" -c:v libsvtav1 av1.mp4
run "${card[@]}" -c:v libx264 -f mpegts seg.ts
run "${tone[@]}" -c:a aac audio.m4a
