// Light, dark, or as the system says: one attribute of the document that the tokens follow.
export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const stored = "tenantra.theme";

export function currentTheme(): Theme {
  return themes.find((theme) => theme === localStorage.getItem(stored)) ?? "system";
}

export function applyTheme(theme: Theme) {
  localStorage.setItem(stored, theme);
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}
