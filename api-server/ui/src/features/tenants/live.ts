// Live status: the server's event stream says that tenants changed; the lists are then read again.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

/** Whether the stream is up. Several changes within a moment cause one read. */
export function useTenantEvents() {
  const queries = useQueryClient();
  const [isLive, setLive] = useState(false);
  useEffect(() => {
    const stream = new EventSource("/v1/events");
    let pending: ReturnType<typeof setTimeout> | undefined;
    const refresh = () => {
      pending ??= setTimeout(() => {
        pending = undefined;
        void queries.invalidateQueries({ queryKey: ["tenants"] });
      }, 300);
    };
    stream.addEventListener("open", () => {
      setLive(true);
      refresh();
    });
    stream.addEventListener("error", () => {
      setLive(false);
    });
    stream.addEventListener("tenant", refresh);
    return () => {
      clearTimeout(pending);
      stream.close();
    };
  }, [queries]);
  return isLive;
}
