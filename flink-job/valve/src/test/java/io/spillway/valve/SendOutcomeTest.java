package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What each answer means for a batch. */
class SendOutcomeTest {

  private static final ValveConfig CONFIG = TestConfig.config();

  private static final SealedBatch BATCH =
      new SealedBatch(
          42,
          "9f3a6c1e2b7d4f08-0-42",
          new byte[0],
          3,
          new WindowTally(new long[] {-1_000, 0}, new long[] {1, 2}),
          0);

  private static final String RECEIPT =
      """
      {"type": "receipt", "version": 1, "job": "wordcount", "batch": "9f3a6c1e2b7d4f08-0-42",\
       "workload": "wordcount", "window_size_ms": 1000, "object": "partials/x.parquet",\
       "bytes": 7, "sha256": "00", "rows": 1, "records": 3, "malformed": 1, "windows":\
       [{"start_ms": -1000, "records": 1, "malformed": 1},\
       {"start_ms": 0, "records": 2, "malformed": 0}]}""";

  private static SendOutcome of(int status, String body) {
    return SendOutcome.of(
        new BatchSender.Answer(status, body.getBytes(StandardCharsets.UTF_8), null),
        null,
        BATCH,
        CONFIG);
  }

  @Test
  void aReceiptThatFitsSettles() {
    assertThat(of(200, RECEIPT)).isEqualTo(new SendOutcome.Settled(RECEIPT));
  }

  @ParameterizedTest
  @CsvSource({
    "'\"type\": \"receipt\"', '\"type\": \"books\"'",
    "'\"version\": 1', '\"version\": 2'",
    "'\"job\": \"wordcount\"', '\"job\": \"other\"'",
    "08-0-42, 08-0-43",
    "'\"workload\": \"wordcount\"', '\"workload\": \"weblog\"'",
    "'\"window_size_ms\": 1000', '\"window_size_ms\": 999'",
    "'\"records\": 3', '\"records\": 4'",
    "'\"records\": 3', '\"records\": \"3\"'",
    "'\"records\": 3', '\"record\": 3'",
    "'-1000, \"records\": 1', '-1000, \"records\": 2'",
    "'\"start_ms\": 0', '\"start_ms\": 1000'",
    "']}', ', {\"start_ms\": 5, \"records\": 0}]}'",
    "'}]}', '}]'",
    "'\"rows\": 1', '\"rows\":\n1'",
  })
  void aReceiptThatDoesNotFitBounces(String part, String by) {
    assertThat(RECEIPT).contains(part);
    assertThat(of(200, RECEIPT.replace(part, by))).isInstanceOf(SendOutcome.Bounce.class);
  }

  @Test
  void aReceiptThatIsNotUtf8Bounces() {
    byte[] body = RECEIPT.getBytes(StandardCharsets.UTF_8);
    body[body.length / 2] = (byte) 0xff;
    assertThat(SendOutcome.of(new BatchSender.Answer(200, body, null), null, BATCH, CONFIG))
        .isInstanceOf(SendOutcome.Bounce.class);
  }

  @ParameterizedTest
  @ValueSource(ints = {400, 401, 403, 404, 413, 415, 422, 424, 204, 301})
  void whatWillNotFareBetterBounces(int status) {
    assertThat(of(status, "why")).isEqualTo(new SendOutcome.Bounce("status " + status + ": why"));
  }

  @ParameterizedTest
  @ValueSource(ints = {500, 502, 504, 599})
  void anUnknownOutcomeIsRetriedWithBackoff(int status) {
    assertThat(of(status, "")).isEqualTo(new SendOutcome.Retry("status " + status, null));
  }

  @ParameterizedTest
  @ValueSource(ints = {429, 503})
  void aBusySidecarIsAskedAgainWhenItSays(int status) {
    Duration after = Duration.ofMillis(250);
    assertThat(
            SendOutcome.of(new BatchSender.Answer(status, new byte[0], after), null, BATCH, CONFIG))
        .isEqualTo(new SendOutcome.Retry("status " + status, after));
  }

  @Test
  void noAnswerIsRetriedWithBackoff() {
    assertThat(
            SendOutcome.of(null, new CompletionException(new IOException("reset")), BATCH, CONFIG))
        .isEqualTo(new SendOutcome.Retry("java.io.IOException: reset", null));
  }

  @Test
  void backoffDoublesUpToASecondAndIsJittered() {
    RetryBackoff least = new RetryBackoff(() -> 0);
    RetryBackoff most = new RetryBackoff(() -> Math.nextDown(1.0));
    assertThat(least.after(1)).isEqualTo(Duration.ofMillis(25));
    assertThat(least.after(2)).isEqualTo(Duration.ofMillis(50));
    assertThat(least.after(100)).isEqualTo(Duration.ofMillis(500));
    assertThat(most.after(1)).isBetween(Duration.ofMillis(49), Duration.ofMillis(50));
    assertThat(most.after(1_000_000)).isBetween(Duration.ofMillis(999), Duration.ofSeconds(1));
  }
}
