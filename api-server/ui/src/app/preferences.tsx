import { useState } from "react";
import { useTranslation } from "react-i18next";
import { choose, languages, type Language } from "../i18n";
import { applyTheme, currentTheme, themes, type Theme } from "./theme";

const select = "border-line bg-surface h-8 rounded-md border px-2 text-xs";

/** Language and theme, kept on this device. */
export function Preferences() {
  const { t, i18n } = useTranslation();
  const [theme, setTheme] = useState(currentTheme);
  const change = (next: Theme) => {
    applyTheme(next);
    setTheme(next);
  };
  return (
    <div className="flex gap-2">
      <select
        aria-label={t("app.language")}
        className={select}
        value={i18n.language}
        onChange={(event) => {
          choose(event.target.value as Language);
        }}
      >
        {Object.entries(languages).map(([code, name]) => (
          <option key={code} value={code}>
            {name}
          </option>
        ))}
      </select>
      <select
        aria-label={t("app.theme")}
        className={select}
        value={theme}
        onChange={(event) => {
          change(event.target.value as Theme);
        }}
      >
        {themes.map((name) => (
          <option key={name} value={name}>
            {t(`app.theme_${name}`)}
          </option>
        ))}
      </select>
    </div>
  );
}
