// Makes a payment, makes it again, and reads it back, with the types that are generated from openapi.yaml. payments.md says how to
// generate, compile and run it.
import { createHash, createHmac } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { SignatureV4a } from "@smithy/signature-v4a";
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";

/** SHA-256, and HMAC with a secret, in the form that the signer needs. */
class Sha256 {
  readonly #hash;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bytes(secret));
  }
  update(data: string | ArrayBuffer | ArrayBufferView) {
    this.#hash.update(bytes(data));
  }
  async digest() {
    return new Uint8Array(this.#hash.digest());
  }
}

function bytes(data: string | ArrayBuffer | ArrayBufferView) {
  if (typeof data === "string") return Buffer.from(data);
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
}

function variable(name: string) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const signer = new SignatureV4a({
  service: "execute-api",
  region: "*", // one signature for both Regions
  sha256: Sha256,
  credentials: {
    accessKeyId: variable("AWS_ACCESS_KEY_ID"),
    secretAccessKey: variable("AWS_SECRET_ACCESS_KEY"),
    sessionToken: process.env["AWS_SESSION_TOKEN"],
  },
});

/** Sends a request once, signed. */
async function sendSigned(request: Request): Promise<Response> {
  const url = new URL(request.url);
  const body = request.body === null ? undefined : await request.clone().text();
  const signed = await signer.sign(
    {
      method: request.method, protocol: url.protocol, hostname: url.hostname, path: url.pathname,
      query: Object.fromEntries(url.searchParams), headers: { ...Object.fromEntries(request.headers), host: url.host }, body,
    },
    {},
  );
  delete signed.headers.host; // fetch writes it
  return fetch(url, { method: request.method, headers: signed.headers, body, signal: AbortSignal.timeout(10_000) });
}

const maxAttempts = 5;

/** Sends a request again while its outcome is unknown, or the API is busy. A payment needs a transaction_id for that. */
async function send(request: Request): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    let wait = 0.1 * 2 ** attempt * Math.random();
    try {
      const response = await sendSigned(request);
      if ((response.status < 500 && response.status !== 429) || attempt === maxAttempts) return response;
      wait += Number(response.headers.get("Retry-After") ?? 0);
    } catch (error) {
      if (attempt === maxAttempts) throw error;
    }
    await setTimeout(wait * 1000);
  }
}

const client = createClient<paths>({ baseUrl: variable("PAYMENT_API_URL"), fetch: send });

async function pay(body: components["schemas"]["PaymentRequest"]) {
  const { data, error, response } = await client.POST("/payments", { body });
  if (error) throw new Error(`pay: ${response.status} ${error.error} (${error.region})`);
  return { ...data, replayed: response.headers.get("Idempotent-Replayed") === "true" };
}

async function read(session_id: string, transaction_id: string) {
  const path = { session_id, transaction_id };
  const { data, error, response } = await client.GET("/payments/{session_id}/{transaction_id}", { params: { path } });
  if (error) throw new Error(`read payment: ${response.status} ${error.error} (${error.region})`);
  return data;
}

/** A page of a session. It is short, to show how to read the next one. */
async function readPage(session_id: string, after?: string) {
  const params = { path: { session_id }, query: { limit: 2, after } };
  const { data, error, response } = await client.GET("/payments/{session_id}", { params });
  if (error) throw new Error(`read session: ${response.status} ${error.error} (${error.region})`);
  return data;
}

const [transaction_id, session_id, amount, currency] = process.argv.slice(2);
if (!transaction_id || !session_id || !amount || !currency) {
  throw new Error("Usage: node pay.mjs <transaction_id> <session_id> <amount> <currency>");
}

const first = await pay({ transaction_id, session_id, amount, currency });
const again = await pay({ transaction_id, session_id, amount, currency });

let page = await readPage(session_id);
const session = page.payments;
while (page.next) {
  page = await readPage(session_id, page.next);
  session.push(...page.payments);
}
const unreadable = session.filter((payment) => payment.status === "unreadable").length;

console.log(JSON.stringify({ first, again, payment: await read(session_id, transaction_id), payments: session.length, unreadable }));
