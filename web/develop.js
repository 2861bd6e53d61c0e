/**
 * Serves the sources as they are, for working on the page: `node web/develop.js http://127.0.0.1:7080`. What is asked
 * under `/api` is asked of that server. Edit, reload; nothing is built.
 */

import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";

const [server = "http://127.0.0.1:7080", port = "7081"] = process.argv.slice(2);
const KINDS = { js: "text/javascript", css: "text/css", svg: "image/svg+xml", html: "text/html" };

createServer((asked, answer) => {
  const path = new URL(asked.url, server).pathname;
  if (path.startsWith("/api/")) return forward(asked, answer);
  serve(path === "/" ? "index.html" : path.replace("/assets/", ""), answer);
}).listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));

async function serve(name, answer) {
  const kind = KINDS[name.split(".").pop()];
  try {
    if (!/^[a-z-]+\.[a-z]+$/.test(name) || !kind) throw new Error("not one of ours");
    const file = await readFile(new URL(`static/${name}`, import.meta.url));
    answer.writeHead(200, { "content-type": `${kind}; charset=utf-8`, "cache-control": "no-store" }).end(file);
  } catch {
    answer.writeHead(404).end();
  }
}

function forward(asked, answer) {
  const headers = { ...asked.headers, host: new URL(server).host };
  // To the server this is a page of its own.
  delete headers.origin;
  const forwarded = request(server + asked.url, { method: asked.method, headers }, (told) => {
    answer.writeHead(told.statusCode ?? 502, told.headers).flushHeaders();
    told.pipe(answer);
  });
  forwarded.on("error", () => answer.writeHead(502).end());
  answer.on("close", () => forwarded.destroy());
  asked.pipe(forwarded);
}
