// Made-up manifests for the report: an archive with places, dates and invalid rows, and one whose every cell is hostile.

// the same numbers in every run
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

const CITIES = [
  [52.37, 4.9], [48.86, 2.35], [51.51, -0.13], [40.71, -74.01], [34.05, -118.24], [-33.87, 151.21], [35.68, 139.69],
  [1.35, 103.82], [-23.55, -46.63], [30.04, 31.24], [-1.29, 36.82], [19.08, 72.88], [59.33, 18.07], [-34.6, -58.38],
];

const two = (number) => String(number).padStart(2, "0");

export function archive(rows) {
  const next = random(7);
  const lines = ["id,title,video_url,tags,lat,lon,recorded_at,camera"];
  for (let row = 1; row <= rows; row++) {
    const city = CITIES[Math.floor(next() * next() * CITIES.length)];
    const [lat, lon] = city.map((degrees) => (degrees + (next() - 0.5) * 8).toFixed(5));
    const date = `${2004 + Math.floor(Math.sqrt(next()) * 22)}-${two(1 + Math.floor(next() * 12))}-${two(1 + Math.floor(next() * 28))}`;
    const place = next() < 0.8 ? `${lat},${lon}` : ",";
    const url = `https://archive.example.org/masters/clip-${row}.mp4`;
    const fault = next();
    const source = fault < 0.01 ? `ftp://bucket/clip-${row}.mp4` : fault < 0.025 ? `https://archive.example.org/masters/clip-${1 + (row % 50)}.mp4` : url;
    const taken = fault > 0.995 ? "last summer" : `${date} 12:00:00`;
    lines.push(`A${row},Clip ${row},${source},city; archive,${place},${taken},Canon C300`);
  }
  return `${lines.join("\n")}\n`;
}

// each of these runs, or breaks the page, where it is not escaped
const HOSTILE = [
  "<script>window.attacked = 1</script>",
  "\"><img src=x onerror=window.attacked=1>",
  "'><svg onload=window.attacked=1>",
  "</style><script>window.attacked = 1</script>",
  "</title></svg><iframe srcdoc='<script>parent.attacked=1</script>'>",
  "{{7*7}}${window.attacked=1}<!--",
  "\u202egnp.exe\u2066\u200f",
  "\u05d0\u05d1\u05d2 \u0645\u0631\u062d\u0628\u0627",
  "javascript:window.attacked=1",
  "=cmd|' /C calc'!A0",
];

export function hostile() {
  const cell = (text) => `"${text.replaceAll('"', '""')}"`;
  const lines = ["id,title,video_url,tags,lat,lon,recorded_at,camera"];
  HOSTILE.forEach((text, at) => {
    const address = `https://h.example/${encodeURIComponent(text)}?X-Amz-Signature=canary-signature-${at}`;
    lines.push([text, text, address, text, "1.5", "2.5", "2020-01-01 00:00:00", text].map(cell).join(","));
    // the address, the date and the place are invalid
    lines.push([text, text, text, text, "1.5", "2.5", "2020-01-01 00:00:00", text].map(cell).join(","));
    lines.push([text, text, `${address}&d=1`, text, text, text, text, text].map(cell).join(","));
    lines.push([text, text, `https://${text}/x.mp4`, text, "", "", "", text].map(cell).join(","));
  });
  const long = "t<b>".repeat(25_000);
  lines.push(["L1", long, "https://h.example/long.mp4", long, "", "", "", long].map(cell).join(","));
  return `${lines.join("\n")}\n`;
}
