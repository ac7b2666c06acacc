// The same two jobs as bench/credentials: sign an SD-JWT VC, verify a presentation; fastify and the npm library.
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, verify } from "node:crypto";
import Fastify from "fastify";
import { SDJwtInstance } from "@sd-jwt/core";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";

const { port, issuer, x5c, iss, vct, aud, nonce, status } = JSON.parse(process.argv[2]);
const secret = createPrivateKey({ key: issuer, format: "jwk" });
const { d, ...open } = issuer;
const opened = createPublicKey({ key: open, format: "jwk" });
const checking = (key) => (data, signature) =>
  verify("sha256", Buffer.from(data), { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"));

const settings = {
  signer: (data) => sign("sha256", Buffer.from(data), { key: secret, dsaEncoding: "ieee-p1363" }).toString("base64url"),
  signAlg: "ES256",
  verifier: checking(opened),
  hasher: (data) => createHash("sha256").update(data).digest(),
  hashAlg: "sha-256",
  saltGenerator: (length) => randomBytes(length).toString("base64url"),
  kbVerifier: (data, signature, payload) =>
    checking(createPublicKey({ key: payload.cnf.jwk, format: "jwk" }))(data, signature),
};
const library = new SDJwtVcInstance(settings);
// The status list is nobody's job here: the core of the same library verifies without fetching one.
const core = new SDJwtInstance(settings);

const app = Fastify();
app.post("/issue", async (request) => {
  const now = Math.floor(Date.now() / 1000);
  const { claims, holder } = request.body;
  const said = { iss, vct, iat: now, exp: now + 86400, cnf: { jwk: holder }, status, ...claims };
  return { credential: await library.issue(said, { _sd: Object.keys(claims) }, { header: { x5c } }) };
});
app.post("/verify", async (request, reply) => {
  try {
    const { payload, kb } = await core.verify(request.body.presentation, { keyBindingNonce: nonce });
    if (kb.payload.aud !== aud || payload.vct !== vct) throw new Error("for somebody else");
    return { accepted: true };
  } catch (error) {
    return reply.code(400).send({ accepted: false, reason: error.message });
  }
});
await app.listen({ port, host: "127.0.0.1" });
