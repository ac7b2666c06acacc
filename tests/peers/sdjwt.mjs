// Verifies SD-JWT VCs, and their status in a list, by the npm libraries; one answer a case.
import { createHash, createPublicKey, verify as check } from "node:crypto";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";

const { now, cases } = JSON.parse(process.argv[2]);
const verifierOf = (jwk) => {
  const key = createPublicKey({ key: jwk, format: "jwk" });
  return async (data, signature) =>
    check("sha256", Buffer.from(data), { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"));
};

const answers = [];
for (const { token, issuer, status, lists, nonce } of cases) {
  const library = new SDJwtVcInstance({
    verifier: verifierOf(issuer),
    hasher: (data, algorithm) => createHash(algorithm.replace("-", "")).update(data).digest(),
    hashAlg: "sha-256",
    statusListFetcher: async (uri) => {
      if (!lists?.[uri]) throw new Error("no such list");
      return lists[uri];
    },
    statusVerifier: status ? verifierOf(status) : undefined,
    kbVerifier: async (data, signature, payload) => verifierOf(payload.cnf.jwk)(data, signature),
  });
  try {
    const { payload, kb } = await library.verify(token, { currentDate: now, keyBindingNonce: nonce });
    answers.push({ accepted: true, claims: payload, kb: kb?.payload });
  } catch (error) {
    answers.push({ accepted: false, reason: error.message });
  }
}
console.log(JSON.stringify(answers));
