package io.spillway.valve;

import io.spillway.valve.ValveCounters.Count;
import io.spillway.valve.latency.Lane;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;

/** What a valve tells the sidecar, as JSON (proto/README.md, "Report and directive"). */
final class Report {

  private Report() {}

  /**
   * Writes a report.
   *
   * @param sequence number of this report within the attempt, from 0
   * @param timeMs the wall clock
   * @param localUnavailableMs how long the local output was congested so far
   * @param latencies encoded histograms of the lanes in which anything was timed
   */
  static byte[] encode(
      ValveConfig config,
      ValveIdentity identity,
      long sequence,
      long timeMs,
      ValveCounters counters,
      long localUnavailableMs,
      Map<Lane, byte[]> latencies) {
    // Names have no character that JSON would have to escape.
    StringBuilder json = new StringBuilder(1024);
    json.append("{\"attempt\":\"").append(identity.attempt()).append('"');
    number(json, "sequence", sequence);
    number(json, "parallelism", identity.parallelism());
    json.append(",\"workload\":\"").append(config.workload()).append('"');
    number(json, "window_size_ms", config.windowSizeMs());
    number(json, "time_ms", timeMs);
    number(json, "received", counters.get(Count.RECEIVED));
    number(json, "kept", counters.get(Count.KEPT));
    number(json, "diverted", counters.get(Count.DIVERTED));
    number(json, "bounced", counters.get(Count.BOUNCED));
    number(json, "late", counters.get(Count.LATE));
    number(json, "unsettled", counters.get(Count.UNSETTLED));
    number(json, "in_flight_batches", counters.get(Count.IN_FLIGHT_BATCHES));
    number(json, "settled_batches", counters.get(Count.SETTLED_BATCHES));
    number(json, "bounced_batches", counters.get(Count.BOUNCED_BATCHES));
    number(json, "retries", counters.get(Count.RETRIES));
    number(json, "local_unavailable_ms", localUnavailableMs);
    numberOrNull(json, "watermark_ms", counters.watermarkMs());
    numberOrNull(json, "first_diverted_ms", counters.firstDivertedMs());
    numberOrNull(json, "last_diverted_ms", counters.lastDivertedMs());
    json.append(",\"latency\":{");
    char separator = 0;
    for (Map.Entry<Lane, byte[]> latency : latencies.entrySet()) {
      if (separator != 0) {
        json.append(separator);
      }
      separator = ',';
      json.append('"').append(latency.getKey().label()).append("\":\"");
      json.append(Base64.getEncoder().encodeToString(latency.getValue())).append('"');
    }
    return json.append("}}").toString().getBytes(StandardCharsets.UTF_8);
  }

  private static void number(StringBuilder json, String name, long value) {
    json.append(",\"").append(name).append("\":").append(value);
  }

  private static void numberOrNull(StringBuilder json, String name, long value) {
    json.append(",\"").append(name).append("\":");
    if (value == ValveCounters.NONE) {
      json.append("null");
    } else {
      json.append(value);
    }
  }
}
