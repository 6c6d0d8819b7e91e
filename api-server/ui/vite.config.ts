import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The API server serves the build under its own origin; in development Vite passes the API through to a running one.
const api = process.env["TENA_API"] ?? "https://localhost:8443";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    // The content policy allows neither inline scripts nor data: images of ours.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { "/v1": { target: api, secure: false, changeOrigin: true } } },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"], setupFiles: ["src/test-setup.ts"] },
});
