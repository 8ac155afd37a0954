// Shows a mesh in 3D where someone asks for it: only then are three.js and the file loaded. It turns by mouse, finger and arrow keys.

const LOADERS = { glb: "GLTFLoader", stl: "STLLoader", ply: "PLYLoader", obj: "OBJLoader" };
const GREY = 0x9fb3c8;

/** Lets textures come from data addresses: the policy of our pages allows no blobs. */
function texturesAsData(three) {
  return (parser) => {
    parser.loadImageSource = async (index) => {
      const { bufferView, mimeType } = parser.json.images[index];
      const bytes = new Uint8Array(await parser.getDependency("bufferView", bufferView));
      let text = "";
      for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
      const image = new Image();
      image.src = `data:${mimeType};base64,${btoa(text)}`;
      await image.decode();
      const texture = new three.Texture(image);
      texture.needsUpdate = true;
      return texture;
    };
    return { name: "TEXTURES_AS_DATA" };
  };
}

/** Returns the object that a file holds. */
async function read(three, kind, content) {
  const loader = new three[LOADERS[kind]]();
  if (kind === "glb") {
    loader.register(texturesAsData(three));
    return (await loader.parseAsync(content, "")).scene;
  }
  if (kind === "obj") return loader.parse(new TextDecoder().decode(content));
  const geometry = loader.parse(content);
  if (!geometry.attributes.normal) geometry.computeVertexNormals();
  const coloured = Boolean(geometry.attributes.color);
  return new three.Mesh(geometry, new three.MeshStandardMaterial({ color: coloured ? 0xffffff : GREY, vertexColors: coloured, side: three.DoubleSide, roughness: 0.75 }));
}

/** Puts the object into a scene with a camera that sees all of it. */
function stage(three, object, canvas) {
  const renderer = new three.WebGLRenderer({ canvas, antialias: true, alpha: true });
  const scene = new three.Scene();
  const box = new three.Box3().setFromObject(object);
  const size = box.getSize(new three.Vector3()).length() || 1;
  object.position.sub(box.getCenter(new three.Vector3()));
  scene.add(object, new three.HemisphereLight(0xffffff, 0x8090a0, 2.2));
  const light = new three.DirectionalLight(0xffffff, 1.6);
  light.position.set(1, 2, 3);
  scene.add(light);
  const camera = new three.PerspectiveCamera(40, 1, size / 100, size * 20);
  camera.position.set(size * 0.7, size * 0.5, size * 1.0);
  const controls = new three.OrbitControls(camera, canvas);
  const draw = () => {
    const { clientWidth: wide, clientHeight: high } = canvas;
    if (!wide || !high) return;
    renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    renderer.setSize(wide, high, false);
    camera.aspect = wide / high;
    camera.updateProjectionMatrix();
    renderer.render(scene, camera);
  };
  controls.addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
  canvas.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, 1 / 1.15], ArrowDown: [0, 1.15] }[event.key];
    if (!turn) return;
    event.preventDefault();
    if (turn[0]) camera.position.applyAxisAngle(new three.Vector3(0, 1, 0), turn[0]);
    else camera.position.multiplyScalar(turn[1]);
    controls.update();
    draw();
  });
  controls.update();
  draw();
}

async function show(button) {
  const place = document.createElement("div");
  place.className = "mesh-view";
  place.innerHTML = '<p role="status">Loading…</p>';
  const say = place.firstElementChild;
  button.closest("li").append(place);
  button.disabled = true;
  try {
    const three = await import(new URL(button.dataset.three, location.href));
    const answer = await fetch(button.dataset.mesh);
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${button.dataset.name} in 3D: turn it with the arrow keys left and right, come nearer with up`);
    const object = await read(three, button.dataset.kind, await answer.arrayBuffer());
    place.append(canvas);
    stage(three, object, canvas);
    say.textContent = "Turn it with mouse, finger or arrow keys.";
    canvas.dataset.shown = "";
  } catch (error) {
    say.textContent = `It cannot be shown here: ${error.message}. The file can be downloaded all the same.`;
    button.disabled = false;
  }
}

addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-mesh]");
  if (button) show(button);
});
