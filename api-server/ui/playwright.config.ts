import { defineConfig } from "@playwright/test";

// Against a running demo: `hack/e2e.sh` starts one and sets these. The browser is the distribution's.
export default defineConfig({
  testDir: "e2e",
  timeout: 30_000,
  retries: 0,
  workers: 1,
  use: {
    baseURL: process.env["TENA_DEMO_URL"] ?? "https://localhost:8443",
    // The chart's own certificate names the service, not the address that the browser uses here.
    ignoreHTTPSErrors: true,
    locale: "en-GB",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env["TENA_CHROMIUM"] ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
      ],
    },
  },
});
