// The dashboard against a running demo: sign-in, overview, a finding with its evidence, the tenants live, sign-out.
import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";

const user = process.env["TENA_DEMO_USER"] ?? "";
const password = process.env["TENA_DEMO_PASSWORD"] ?? "";

async function signIn(page: Page) {
  await page.goto("/");
  await expect(page).toHaveURL(/\/sign-in/);
  await page.getByLabel("E-mail or username").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
}

async function expectAccessible(page: Page) {
  for (const colorScheme of ["light", "dark"] as const) {
    // Colours in the middle of a transition are nobody's choice.
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa"]).analyze();
    expect(
      violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join()}`),
    ).toEqual([]);
  }
}

test("a wrong password is refused with a sentence", async ({ page }) => {
  await page.goto("/sign-in");
  await page.getByLabel("E-mail or username").fill(user);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toHaveText("E-mail or password is wrong.");
});

test("the overview shows score, findings and assets of the tenant", async ({ page }) => {
  const problems: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("401")) problems.push(message.text());
  });
  await signIn(page);
  await expect(page.getByRole("img", { name: /\d+ of 100/ })).toBeVisible();
  await expect(page.getByText("1 of 1 online")).toBeVisible();
  await expectAccessible(page);
  expect(problems).toEqual([]);
});

test("a finding opens with its evidence and closes with Escape", async ({ page }) => {
  await signIn(page);
  await page.getByRole("link", { name: "Findings" }).click();
  await page.getByRole("table").getByRole("button").first().click();
  const drawer = page.getByRole("dialog");
  await expect(drawer.getByText("Evidence")).toBeVisible();
  await expect(drawer.getByText("What to do")).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(drawer).toBeHidden();
});

test("filters are part of the address and survive a reload", async ({ page }) => {
  await signIn(page);
  await page.getByRole("link", { name: "Findings" }).click();
  await page.getByLabel("Severity").selectOption("low");
  await expect(page).toHaveURL(/severity=low/);
  await page.reload();
  await expect(page.getByLabel("Severity")).toHaveValue("low");
});

test("the super admin sees tenants with their conditions", async ({ page }) => {
  await signIn(page);
  await page.getByRole("link", { name: "Tenants" }).click();
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.getByRole("link", { name: "Acme Corp" }).click();
  await expect(page.getByRole("row", { name: /DatabaseReady/ })).toContainText("Ready");
  await expectAccessible(page);
});

test("the language changes the direction of the page", async ({ page }) => {
  await signIn(page);
  await page.getByLabel("Language").selectOption("ar");
  await expect(page.locator("html")).toHaveAttribute("dir", "rtl");
});

test("after sign-out the pages are closed, and no token was ever readable", async ({ page }) => {
  await signIn(page);
  expect(await page.evaluate(() => document.cookie)).toBe("");
  expect(
    await page.evaluate(() => Object.keys(localStorage).filter((key) => /token|session/i.test(key))),
  ).toEqual([]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  await page.goto("/findings");
  await expect(page).toHaveURL(/\/sign-in/);
});
