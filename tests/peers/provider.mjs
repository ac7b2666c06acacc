// A real OpenID provider on loopback; whoever comes is signed in as the account that the settings name.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const given = JSON.parse(process.argv[2]);
const server = createServer();
await new Promise((resolve) => server.listen(given.port ?? 0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${server.address().port}`;
const issuer = given.issuer ?? address;

const provider = new Provider(issuer, {
  clients: given.clients,
  ...(given.jwks ? { jwks: given.jwks } : {}),
  cookies: { keys: ["loopback only"] },
  claims: { openid: ["sub", "sid", "roles"] },
  conformIdTokenClaims: false,
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      // No page in between: leaving is confirmed at once.
      logoutSource: (ctx, form) => {
        ctx.body = form.replace("</form>", '<input type="hidden" name="logout" value="yes"/></form>');
      },
    },
  },
  enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "PS256", "HS256"] },
  pkce: { required: () => true },
  ttl: { IdToken: 300, AccessToken: 300, AuthorizationCode: 60, Session: 600, Interaction: 60, Grant: 600 },
  // Its own way out refuses loopback addresses, which are all there is here.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, roles: given.roles ?? ["citizen"] }) }),
});

const callback = provider.callback();
server.on("request", async (request, response) => {
  if (!request.url.startsWith("/interaction/")) return callback(request, response);
  const { params, session, grantId } = await provider.interactionDetails(request, response);
  const accountId = session?.accountId ?? given.account ?? "somebody";
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  await provider.interactionFinished(request, response, {
    login: { accountId },
    consent: { grantId: await grant.save() },
  });
});
console.log(JSON.stringify({ address, issuer }));
