// Languages of the dashboard. The direction of the page follows the language, so Arabic is laid out right to left.
import i18n from "i18next";
import { initReactI18next } from "react-i18next";
import ar from "./ar.json";
import en from "./en.json";
import fr from "./fr.json";

export const languages = { en: "English", fr: "Français", ar: "العربية" } as const;
export type Language = keyof typeof languages;

const stored = "tenantra.language";

function isLanguage(value: string | null | undefined): value is Language {
  return value !== null && value !== undefined && value in languages;
}

function preferred(): Language {
  const chosen = localStorage.getItem(stored);
  if (isLanguage(chosen)) return chosen;
  return navigator.languages.map((tag) => tag.slice(0, 2)).find(isLanguage) ?? "en";
}

i18n.on("languageChanged", (language) => {
  document.documentElement.lang = language;
  document.documentElement.dir = i18n.dir(language);
});

void i18n.use(initReactI18next).init({
  resources: { en: { translation: en }, fr: { translation: fr }, ar: { translation: ar } },
  lng: preferred(),
  fallbackLng: "en",
  showSupportNotice: false,
  interpolation: { escapeValue: false },
});

/** Switches the language and keeps the choice for the next visit. */
export function choose(language: Language) {
  localStorage.setItem(stored, language);
  void i18n.changeLanguage(language);
}

export { i18n };
