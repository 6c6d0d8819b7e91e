import { useTranslation } from "react-i18next";

const radius = 52;
const length = 2 * Math.PI * radius;

function tone(score: number) {
  if (score >= 85) return "stroke-ok";
  if (score >= 60) return "stroke-medium";
  return "stroke-critical";
}

/** A score of 0 to 100 as a ring; the number is text, so that it is read out and printed. */
export function ScoreRing({ score }: { score: number | null | undefined }) {
  const { t } = useTranslation();
  if (score === null || score === undefined)
    return <p className="text-muted py-8">{t("overview.noScore")}</p>;
  return (
    <div className="relative size-36" role="img" aria-label={t("overview.scoreOf", { score })}>
      <svg viewBox="0 0 120 120" className="size-full -rotate-90" aria-hidden="true">
        <circle cx="60" cy="60" r={radius} className="stroke-line fill-none" strokeWidth="12" />
        <circle
          cx="60"
          cy="60"
          r={radius}
          className={`${tone(score)} fill-none`}
          strokeWidth="12"
          strokeLinecap="round"
          strokeDasharray={length}
          strokeDashoffset={length * (1 - score / 100)}
        />
      </svg>
      <span
        className="absolute inset-0 flex items-center justify-center text-4xl font-bold"
        aria-hidden="true"
      >
        {score}
      </span>
    </div>
  );
}
