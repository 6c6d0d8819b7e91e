import { useTranslation } from "react-i18next";
import { Button } from "./button";

type Props = { page: number; pageSize: number; total: number; onPage: (page: number) => void };

export function Pagination({ page, pageSize, total, onPage }: Props) {
  const { t } = useTranslation();
  const pages = Math.max(1, Math.ceil(total / pageSize));
  if (pages === 1) return null;
  return (
    <nav aria-label={t("pages.of", { page, pages })} className="flex items-center justify-end gap-3 pt-3">
      <Button
        size="small"
        disabled={page <= 1}
        onClick={() => {
          onPage(page - 1);
        }}
      >
        {t("pages.previous")}
      </Button>
      <span className="text-muted">{t("pages.of", { page, pages })}</span>
      <Button
        size="small"
        disabled={page >= pages}
        onClick={() => {
          onPage(page + 1);
        }}
      >
        {t("pages.next")}
      </Button>
    </nav>
  );
}
