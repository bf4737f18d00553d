// Makes src/report/html/coastline.path from Natural Earth's land at 1:110m (public domain), as the npm package world-atlas
// carries it: npm install world-atlas topojson-client && node tests/browser/coastline.mjs > src/report/html/coastline.path
//
// One SVG path of all land in whole degrees: x is the longitude + 180, y is 90 - the latitude.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire(`${process.cwd()}/`);
const { feature } = require("topojson-client");
const world = JSON.parse(readFileSync(require.resolve("world-atlas/land-110m.json")));

const TOLERANCE = 0.9; // degrees: a line of the picture is about as wide
const AREA_MIN = 6; // square degrees: smaller islands are no orientation

function distance([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const at = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / length));
  return Math.hypot(x - ax - at * dx, y - ay - at * dy);
}

// Douglas and Peucker
function simplify(points) {
  if (points.length < 3) return points;
  let [worst, far] = [0, 0];
  for (let i = 1; i < points.length - 1; i++) {
    const away = distance(points[i], points[0], points.at(-1));
    if (away > worst) [worst, far] = [away, i];
  }
  if (worst <= TOLERANCE) return [points[0], points.at(-1)];
  return [...simplify(points.slice(0, far + 1)).slice(0, -1), ...simplify(points.slice(far))];
}

function area(ring) {
  let sum = 0;
  for (let i = 0; i < ring.length; i++) {
    const [[ax, ay], [bx, by]] = [ring[i], ring[(i + 1) % ring.length]];
    sum += ax * by - bx * ay;
  }
  return Math.abs(sum) / 2;
}

// a ring that crosses the 180th meridian runs on beyond it, and is drawn again on the other side
function unwrapped(ring) {
  let shift = 0;
  return ring.map(([lon, lat], i) => {
    const step = i === 0 ? 0 : lon - ring[i - 1][0];
    shift += step > 180 ? -360 : step < -180 ? 360 : 0;
    return [lon + shift + 180, 90 - lat];
  });
}

function drawn(points) {
  let path = "";
  let at = points[0];
  for (const point of points.slice(1)) {
    const [dx, dy] = [point[0] - at[0], point[1] - at[1]];
    if (dx === 0 && dy === 0) continue;
    path += `${path === "" || dx < 0 ? "" : " "}${dx}${dy < 0 ? "" : " "}${dy}`;
    at = point;
  }
  return `M${points[0].join(" ")}l${path}z`;
}

let path = "";
const land = feature(world, world.objects.land);
for (const shape of land.features ?? [land]) {
  for (const polygon of shape.geometry.coordinates) {
    const ring = unwrapped(polygon[0]);
    const isAntarctica = ring.every(([, y]) => y > 150);
    if (area(ring) < AREA_MIN || isAntarctica) continue;
    const half = Math.floor(ring.length / 2);
    const outline = [...simplify(ring.slice(0, half + 1)).slice(0, -1), ...simplify(ring.slice(half))];
    const whole = outline.slice(0, -1).map((point) => point.map(Math.round));
    path += drawn(whole);
    if (whole.some(([x]) => x > 360)) path += drawn(whole.map(([x, y]) => [x - 360, y]));
    if (whole.some(([x]) => x < 0)) path += drawn(whole.map(([x, y]) => [x + 360, y]));
  }
}
console.log(path);
