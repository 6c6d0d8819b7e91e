import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { SelectField, TextField } from "../../components/field";
import { severities } from "../../components/severity-badge";
import type { useFilters } from "./filters";

export function FindingFilters({ filters }: { filters: ReturnType<typeof useFilters> }) {
  const { t } = useTranslation();
  const { parameters, set } = filters;
  return (
    <div className="mb-4 grid gap-3 sm:grid-cols-2 lg:grid-cols-[2fr_1fr_1fr_1fr]">
      <Search
        key={parameters.get("q") ?? ""}
        value={parameters.get("q") ?? ""}
        onSearch={(q) => {
          set("q", q);
        }}
      />
      <SelectField
        label={t("findings.severity")}
        value={parameters.get("severity") ?? ""}
        onChange={(event) => {
          set("severity", event.target.value);
        }}
      >
        <option value="">{t("findings.any")}</option>
        {severities.map((severity) => (
          <option key={severity} value={severity}>
            {t(`severity.${severity}`)}
          </option>
        ))}
      </SelectField>
      <SelectField
        label={t("findings.status")}
        value={parameters.get("status") ?? "open"}
        onChange={(event) => {
          set("status", event.target.value);
        }}
      >
        <option value="open">{t("findings.open")}</option>
        <option value="closed">{t("findings.closed")}</option>
        <option value="all">{t("findings.any")}</option>
      </SelectField>
      <SelectField
        label={t("findings.sort")}
        value={parameters.get("sort") ?? "-severity"}
        onChange={(event) => {
          set("sort", event.target.value);
        }}
      >
        <option value="-severity">{t("findings.sortSeverity")}</option>
        <option value="-first_seen_at">{t("findings.sortNewest")}</option>
      </SelectField>
    </div>
  );
}

/** Searches when the typing pauses, so that a word is one request. */
function Search({ value, onSearch }: { value: string; onSearch: (q: string) => void }) {
  const { t } = useTranslation();
  const [text, setText] = useState(value);
  useEffect(() => {
    if (text === value) return;
    const pause = setTimeout(() => {
      onSearch(text);
    }, 400);
    return () => {
      clearTimeout(pause);
    };
  }, [text, value, onSearch]);
  return (
    <TextField
      label={t("findings.search")}
      type="search"
      placeholder={t("findings.searchHint")}
      value={text}
      onChange={(event) => {
        setText(event.target.value);
      }}
    />
  );
}
