// Shows a binary glTF model in a dialog; loaded when somebody asks for it. Draws with WebGL, without a library, workers or styles of its own.
// One file: static files carry digests in their names, and an import inside would not know them.
const QUIET = matchMedia("(prefers-reduced-motion: reduce)");
const STEP = Math.PI / 12;

// Opens the viewer for a button that names the model; the words on its controls come with the button.
export async function open(button) {
  const answer = await fetch(button.dataset.model);
  if (!answer.ok) throw new Error(`the model answers ${answer.status}`);
  const model = await read(await answer.arrayBuffer());
  const dialog = document.getElementById(button.getAttribute("aria-controls"));
  const canvas = dialog.querySelector("canvas");
  const drawing = new Drawing(canvas, model);
  dialog.showModal();
  canvas.focus();
  operate(dialog, canvas, drawing);
}

function operate(dialog, canvas, drawing) {
  const over = new AbortController();
  const { signal } = over;
  let turning = !QUIET.matches;
  let asked = 0;

  const draw = () => {
    asked = 0;
    if (turning) drawing.turn(0.006, 0);
    drawing.draw();
    if (turning) ask();
  };
  const ask = () => { asked ||= requestAnimationFrame(draw); };
  const actions = {
    left: () => drawing.turn(-STEP, 0),
    right: () => drawing.turn(STEP, 0),
    up: () => drawing.turn(0, STEP),
    down: () => drawing.turn(0, -STEP),
    nearer: () => drawing.zoom(1 / 1.2),
    farther: () => drawing.zoom(1.2),
    reset: () => drawing.reset(),
  };
  const act = (name) => {
    turning = false;
    actions[name]();
    ask();
  };
  const keys = {
    ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
    "+": "nearer", "=": "nearer", "-": "farther", 0: "reset", Home: "reset",
  };

  canvas.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act(keys[event.key]);
  }, { signal });
  dialog.addEventListener("click", (event) => {
    const { act: name } = event.target.closest("[data-act]")?.dataset || {};
    if (name) act(name);
  }, { signal });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    act(event.deltaY < 0 ? "nearer" : "farther");
  }, { signal, passive: false });
  followFingers(canvas, drawing, signal, () => { turning = false; ask(); });
  const sizes = new ResizeObserver(() => { drawing.fit(); ask(); });
  sizes.observe(canvas);
  dialog.addEventListener("close", () => {
    over.abort();
    sizes.disconnect();
    cancelAnimationFrame(asked);
    turning = false;
    drawing.end();
  }, { once: true });
  ask();
}

// One finger or the mouse turns, two fingers come nearer or go away.
function followFingers(canvas, drawing, signal, moved) {
  const fingers = new Map();
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y) || 1;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }, { signal });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const before = fingers.size === 2 ? apart() : 0;
    const now = { x: event.clientX, y: event.clientY };
    fingers.set(event.pointerId, now);
    if (fingers.size === 2) drawing.zoom(before / apart());
    else drawing.turn((now.x - last.x) * 0.01, (now.y - last.y) * 0.01);
    moved();
  }, { signal });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => fingers.delete(event.pointerId), { signal });
  }
}

// Reads binary glTF 2.0: triangles with positions, normals, plain colours and pictures. Throws what it cannot read.
const MAGIC = 0x46546c67;
const JSON_CHUNK = 0x4e4f534a;
const BINARY_CHUNK = 0x004e4942;
const MOST_VERTICES = 4_000_000;
const DEEPEST = 64;
const MOST_NODES = 20_000;
const ARRAYS = { 5120: Int8Array, 5121: Uint8Array, 5122: Int16Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
const PARTS = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };
const LARGEST = { 5120: 127, 5121: 255, 5122: 32767, 5123: 65535 };

// Returns {pieces: [{positions, normals, uvs, indices, color, picture}], low, high}: everything in the model's own space.
async function read(content) {
  const { told, binary } = chunks(content);
  if ((told.extensionsRequired || []).length) throw new Error("the model needs extensions that are not known here");
  const pieces = [];
  const scene = told.scenes?.[told.scene || 0] || { nodes: (told.nodes || []).map((_, number) => number) };
  const visited = { nodes: 0 };
  for (const node of scene.nodes || []) visit(told, binary, node, identity(), pieces, 0, visited);
  if (!pieces.length) throw new Error("the model has no triangles");
  if (pieces.reduce((sum, piece) => sum + piece.positions.length / 3, 0) > MOST_VERTICES) throw new Error("the model is too large");
  for (const piece of pieces) if (piece.image !== undefined) piece.picture = await picture(told, binary, piece.image);
  return { pieces, ...bounds(pieces) };
}

function chunks(content) {
  const view = new DataView(content);
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== 2) throw new Error("not binary glTF 2.0");
  let told;
  let binary = new Uint8Array();
  for (let at = 12; at + 8 <= content.byteLength;) {
    const size = view.getUint32(at, true);
    const kind = view.getUint32(at + 4, true);
    const part = new Uint8Array(content, at + 8, size);
    if (kind === JSON_CHUNK) told = JSON.parse(new TextDecoder().decode(part));
    if (kind === BINARY_CHUNK) binary = part;
    at += 8 + size;
  }
  return { told, binary };
}

function visit(told, binary, number, above, pieces, depth, visited) {
  const node = told.nodes[number];
  // Parts may hang in several places: a small file could name more of them than there is time for.
  if (depth > DEEPEST || ++visited.nodes > MOST_NODES) throw new Error("the model has too many parts");
  const place = times(above, node.matrix || matrixOf(node));
  for (const primitive of told.meshes[node.mesh]?.primitives || []) {
    if ((primitive.mode ?? 4) === 4) pieces.push(piece(told, binary, primitive, place));
  }
  for (const child of node.children || []) visit(told, binary, child, place, pieces, depth + 1, visited);
}

function piece(told, binary, primitive, place) {
  const positions = moved(values(told, binary, primitive.attributes.POSITION), place, 1);
  const { NORMAL, TEXCOORD_0 } = primitive.attributes;
  let indices = primitive.indices === undefined ? undefined : values(told, binary, primitive.indices, true);
  const look = told.materials?.[primitive.material]?.pbrMetallicRoughness || {};
  const image = told.textures?.[look.baseColorTexture?.index]?.source;
  let normals = NORMAL === undefined ? undefined : moved(values(told, binary, NORMAL), place, 0);
  let points = positions;
  let uvs = TEXCOORD_0 === undefined ? undefined : values(told, binary, TEXCOORD_0);
  if (!normals) {
    const order = indices || Uint32Array.from({ length: positions.length / 3 }, (_, at) => at);
    points = pick(positions, order, 3);
    uvs = uvs && pick(uvs, order, 2);
    normals = flat(points);
    indices = undefined;
  }
  return { positions: points, normals, uvs, indices, color: (look.baseColorFactor || [1, 1, 1, 1]).slice(0, 3), image: uvs ? image : undefined };
}

function values(told, binary, number, whole = false) {
  const accessor = told.accessors[number];
  const view = told.bufferViews[accessor.bufferView];
  const Kind = ARRAYS[accessor.componentType];
  const parts = PARTS[accessor.type];
  if (!Kind || !parts || accessor.sparse || !view || view.buffer !== 0 || accessor.count > MOST_VERTICES * 3) throw new Error("an accessor cannot be read");
  const stride = view.byteStride || parts * Kind.BYTES_PER_ELEMENT;
  const start = binary.byteOffset + (view.byteOffset || 0) + (accessor.byteOffset || 0);
  const end = start + stride * (accessor.count - 1) + parts * Kind.BYTES_PER_ELEMENT;
  if (end > binary.byteOffset + binary.byteLength) throw new Error("an accessor reaches over the end");
  const scale = whole || !accessor.normalized ? 1 : 1 / (LARGEST[accessor.componentType] || 1);
  const bytes = new Uint8Array(binary.buffer);
  // Copies: a view must begin on a multiple of its element's size, which nothing here guarantees.
  let found = new Kind(accessor.count * parts);
  if (stride === parts * Kind.BYTES_PER_ELEMENT) found = new Kind(bytes.slice(start, end).buffer);
  else {
    for (let at = 0; at < accessor.count; at++) {
      const from = start + at * stride;
      found.set(new Kind(bytes.slice(from, from + parts * Kind.BYTES_PER_ELEMENT).buffer), at * parts);
    }
  }
  return whole ? Uint32Array.from(found) : Float32Array.from(found, (value) => value * scale);
}

async function picture(told, binary, number) {
  const image = told.images[number];
  const view = told.bufferViews[image.bufferView];
  const part = binary.subarray(view.byteOffset || 0, (view.byteOffset || 0) + view.byteLength);
  return createImageBitmap(new Blob([part], { type: image.mimeType }));
}

function bounds(pieces) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (const { positions } of pieces) {
    for (let at = 0; at < positions.length; at++) {
      low[at % 3] = Math.min(low[at % 3], positions[at]);
      high[at % 3] = Math.max(high[at % 3], positions[at]);
    }
  }
  return { low, high };
}

function pick(from, order, parts) {
  const out = new Float32Array(order.length * parts);
  for (let at = 0; at < order.length; at++) for (let part = 0; part < parts; part++) out[at * parts + part] = from[order[at] * parts + part];
  return out;
}

function flat(points) {
  const out = new Float32Array(points.length);
  for (let at = 0; at + 8 < points.length; at += 9) {
    const [ax, ay, az] = [0, 1, 2].map((k) => points[at + 3 + k] - points[at + k]);
    const [bx, by, bz] = [0, 1, 2].map((k) => points[at + 6 + k] - points[at + k]);
    const normal = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
    for (let corner = 0; corner < 3; corner++) out.set(normal, at + corner * 3);
  }
  return out;
}

function moved(points, m, w) {
  const out = new Float32Array(points.length);
  for (let at = 0; at + 2 < points.length; at += 3) {
    const [x, y, z] = [points[at], points[at + 1], points[at + 2]];
    for (let k = 0; k < 3; k++) out[at + k] = m[k] * x + m[4 + k] * y + m[8 + k] * z + m[12 + k] * w;
  }
  return out;
}

function identity() {
  return [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
}

function times(a, b) {
  return Array.from({ length: 16 }, (_, at) => [0, 1, 2, 3].reduce((sum, k) => sum + a[k * 4 + (at % 4)] * b[Math.floor(at / 4) * 4 + k], 0));
}

function matrixOf({ translation: t = [0, 0, 0], rotation: [x, y, z, w] = [0, 0, 0, 1], scale: [a, b, c] = [1, 1, 1] }) {
  return [
    (1 - 2 * (y * y + z * z)) * a, 2 * (x * y + z * w) * a, 2 * (x * z - y * w) * a, 0,
    2 * (x * y - z * w) * b, (1 - 2 * (x * x + z * z)) * b, 2 * (y * z + x * w) * b, 0,
    2 * (x * z + y * w) * c, 2 * (y * z - x * w) * c, (1 - 2 * (x * x + y * y)) * c, 0,
    ...t, 1,
  ];
}

// Draws a model that was read: one light from the upper left, the paper's colour behind it.

const START = { yaw: -0.6, pitch: 0.3, away: 1 };
const CORNERS = `#version 300 es
in vec3 position; in vec3 normal; in vec2 uv;
uniform mat4 place; uniform mat4 lens;
out vec3 facing; out vec2 spot;
void main() { facing = mat3(place) * normal; spot = uv; gl_Position = lens * place * vec4(position, 1.0); }`;
const POINTS = `#version 300 es
precision highp float;
in vec3 facing; in vec2 spot;
uniform vec3 color; uniform sampler2D picture; uniform float pictured;
out vec4 shown;
void main() {
  vec3 n = normalize(gl_FrontFacing ? facing : -facing);
  vec3 base = mix(color, texture(picture, spot).rgb, pictured);
  float sun = max(dot(n, normalize(vec3(-0.5, 0.8, 0.9))), 0.0);
  float sky = 0.5 + 0.5 * n.y;
  float edge = pow(1.0 - max(n.z, 0.0), 3.0);
  vec3 lit = base * (0.28 + 0.24 * sky + 0.62 * sun) + 0.06 * edge;
  shown = vec4(pow(clamp(lit, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}`;

class Drawing {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { alpha: true, antialias: true, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("this browser does not draw in three dimensions");
    this.middle = model.low.map((low, k) => (low + model.high[k]) / 2);
    this.radius = Math.hypot(...model.low.map((low, k) => model.high[k] - low)) / 2 || 1;
    this.program = programOf(this.gl);
    this.pieces = model.pieces.map((piece) => this.load(piece));
    this.reset();
    this.fit();
  }

  load(piece) {
    const { gl, program } = this;
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    for (const [name, data, size] of [["position", piece.positions, 3], ["normal", piece.normals, 3], ["uv", piece.uvs, 2]]) {
      const at = gl.getAttribLocation(program, name);
      if (!data || at < 0) continue;
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, gl.FLOAT, false, 0, 0);
    }
    if (piece.indices) {
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, piece.indices, gl.STATIC_DRAW);
    }
    const count = piece.indices ? piece.indices.length : piece.positions.length / 3;
    return { array, count, indexed: Boolean(piece.indices), color: piece.color, texture: piece.picture && textureOf(gl, piece.picture) };
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + pitch));
  }

  zoom(factor) {
    this.away = Math.max(0.4, Math.min(3, this.away * factor));
  }

  reset() {
    Object.assign(this, START);
  }

  fit() {
    const fine = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * fine));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * fine));
  }

  draw() {
    const { gl, program } = this;
    const wide = this.canvas.width / this.canvas.height;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(program);
    gl.uniformMatrix4fv(gl.getUniformLocation(program, "place"), false, this.place(wide));
    gl.uniformMatrix4fv(gl.getUniformLocation(program, "lens"), false, this.lens(wide));
    for (const piece of this.pieces) {
      gl.bindVertexArray(piece.array);
      gl.uniform3fv(gl.getUniformLocation(program, "color"), piece.color);
      gl.uniform1f(gl.getUniformLocation(program, "pictured"), piece.texture ? 1 : 0);
      gl.bindTexture(gl.TEXTURE_2D, piece.texture || null);
      if (piece.indexed) gl.drawElements(gl.TRIANGLES, piece.count, gl.UNSIGNED_INT, 0);
      else gl.drawArrays(gl.TRIANGLES, 0, piece.count);
    }
  }

  place(wide) {
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const [x, y, z] = this.middle.map((value) => -value);
    const turned = times([1, 0, 0, 0, 0, cp, sp, 0, 0, -sp, cp, 0, 0, 0, 0, 1], [cy, 0, -sy, 0, 0, 1, 0, 0, sy, 0, cy, 0, 0, 0, 0, 1]);
    const far = (this.radius * 2.7 * this.away) / Math.min(1, wide);
    return times([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, -far, 1], times(turned, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, x, y, z, 1]));
  }

  lens(wide) {
    const f = 1 / Math.tan(0.36);
    const [near, far] = [this.radius * 0.05, this.radius * 30];
    return [f / wide, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0];
  }

  // The canvas is used again by the next opening, so its context must live; what it holds need not.
  end() {
    for (const { array, texture } of this.pieces) {
      this.gl.deleteVertexArray(array);
      if (texture) this.gl.deleteTexture(texture);
    }
    this.gl.deleteProgram(this.program);
  }
}

function programOf(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, CORNERS], [gl.FRAGMENT_SHADER, POINTS]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "the shaders do not link");
  return program;
}

function textureOf(gl, picture) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.SRGB8_ALPHA8, gl.RGBA, gl.UNSIGNED_BYTE, picture);
  gl.generateMipmap(gl.TEXTURE_2D);
  return texture;
}
