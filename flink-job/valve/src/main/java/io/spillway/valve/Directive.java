package io.spillway.valve;

import java.io.IOException;
import java.util.Set;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

/**
 * What the sidecar answers to a report.
 *
 * @param localRate records per second that this subtask may keep; infinite for no limit
 * @param divert whether records may be diverted at all
 * @param credits batches that may be in flight at once, 0 to 1024
 * @param leaseMs how long it holds after its arrival, 1 to 60 000
 * @param mode {@code local}, {@code armed} or {@code burst}
 * @param reason one sentence for people
 */
record Directive(
    double localRate, boolean divert, int credits, int leaseMs, String mode, String reason) {

  private static final Set<String> MODES = Set.of("local", "armed", "burst");

  /**
   * Reads a directive.
   *
   * @throws IOException if it is no directive, or breaks a bound; the message says how
   */
  static Directive parse(byte[] json) throws IOException {
    JsonNode node = Json.object(json);
    JsonNode rate = Json.field(node, "local_rate");
    if (!rate.isNull() && !(rate.isNumber() && rate.asDouble() >= 0)) {
      throw new IOException("local_rate is " + rate);
    }
    JsonNode divert = Json.field(node, "divert");
    if (!divert.isBoolean()) {
      throw new IOException("divert is " + divert);
    }
    JsonNode mode = Json.field(node, "mode");
    if (!mode.isTextual() || !MODES.contains(mode.textValue())) {
      throw new IOException("mode is " + mode);
    }
    JsonNode reason = Json.field(node, "reason");
    if (!reason.isTextual()) {
      throw new IOException("reason is " + reason);
    }
    return new Directive(
        rate.isNull() ? Double.POSITIVE_INFINITY : rate.asDouble(),
        divert.booleanValue(),
        (int) Json.integer(node, "credits", 0, 1024),
        (int) Json.integer(node, "lease_ms", 1, 60_000),
        mode.textValue(),
        reason.textValue());
  }
}
