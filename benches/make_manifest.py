#!/usr/bin/env python3
"""Writes a made-up manifest: make_manifest.py ROWS > manifest.csv (url, five tags, place, time, camera)."""
import sys

rows = int(sys.argv[1])
out = sys.stdout
out.write("id,url,tags,latitude,longitude,datetime,camera_model\n")
for n in range(rows):
    day = 1 + n % 28
    out.write(
        f"A{n:08d},https://archive.example.org/masters/{n % 977:03d}/clip-{n:08d}.mp4?part={n % 7},"
        f"\"harbour; fog; take {n % 50}; reel {n % 900}; camera {n % 12}\","
        f"{-60 + n % 120}.{n % 99999:05d},{-170 + n % 340}.{n % 99991:05d},"
        f"{1990 + n % 34}-{1 + n % 12:02d}-{day:02d} {n % 24:02d}:{n % 60:02d}:{n % 59:02d},Sony FX{n % 9}\n"
    )
