package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.apache.flink.configuration.Configuration;
import org.assertj.core.api.Assertions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The real sender against a real server on loopback. */
@Timeout(30)
class HttpBatchSenderTest {

  private static final String ID = "9f3a6c1e2b7d4f08-0-42";

  private FakeSidecar sidecar;
  private HttpBatchSender sender;

  @BeforeEach
  void start() throws Exception {
    sidecar = new FakeSidecar();
    Configuration options = TestConfig.options();
    options.set(ValveOptions.SIDECAR_URL, sidecar.url() + "/");
    options.set(ValveOptions.SIDECAR_TOKEN, "secret");
    sender = new HttpBatchSender(HttpClient.newHttpClient(), ValveConfig.of("valve", options));
  }

  @AfterEach
  void stop() {
    sender.close();
    sidecar.close();
  }

  @Test
  void aBatchArrivesWholeUnderItsIdWithDeadlineAndToken() throws Exception {
    // Several slices, the last of them not full.
    byte[] message = new byte[(3 << 16) + 17];
    new Random(1).nextBytes(message);
    sidecar.onBatch = (request, exchange) -> FakeSidecar.reply(exchange, 200, "receipt");

    BatchSender.Answer answer = sender.send(ID, message, Duration.ofMillis(4_321)).get();

    assertThat(answer.status()).isEqualTo(200);
    assertThat(new String(answer.body(), StandardCharsets.UTF_8)).isEqualTo("receipt");
    FakeSidecar.Request request = sidecar.batches.get(0);
    assertThat(request.method()).isEqualTo("PUT");
    assertThat(request.path()).isEqualTo("/v1/jobs/wordcount/batches/" + ID);
    assertThat(request.body()).isEqualTo(message);
    assertThat(request.headers())
        .contains(
            "Content-type: application/x-protobuf",
            "Content-length: " + message.length,
            "Spillway-deadline-ms: 4321",
            "Authorization: Bearer secret");
  }

  @Test
  void aRefusalIsAnAnswerWithItsRetryAfter() throws Exception {
    sidecar.onBatch =
        (request, exchange) -> {
          exchange.getResponseHeaders().add("Retry-After", "0.25");
          FakeSidecar.reply(exchange, 429, "busy");
        };

    BatchSender.Answer answer = sender.send(ID, new byte[] {1}, Duration.ofSeconds(5)).get();

    assertThat(answer.status()).isEqualTo(429);
    assertThat(answer.retryAfter()).isEqualTo(Duration.ofMillis(250));
  }

  @Test
  void noAnswerWithinTheDeadlineIsAFailure() {
    CountDownLatch never = new CountDownLatch(1);
    sidecar.onBatch =
        (request, exchange) -> {
          try {
            never.await();
          } catch (InterruptedException e) {
            exchange.close();
          }
        };

    Assertions.assertThatThrownBy(
            () -> sender.send(ID, new byte[] {1}, Duration.ofMillis(100)).get())
        .isInstanceOf(ExecutionException.class);
  }

  @Test
  void aBodyThatNeverEndsIsAFailureToo() {
    CountDownLatch never = new CountDownLatch(1);
    sidecar.onBatch =
        (request, exchange) -> {
          exchange.sendResponseHeaders(200, 10);
          exchange.getResponseBody().write(1);
          exchange.getResponseBody().flush();
          try {
            never.await();
          } catch (InterruptedException e) {
            exchange.close();
          }
        };

    Assertions.assertThatThrownBy(
            () -> sender.send(ID, new byte[] {1}, Duration.ofMillis(100)).get())
        .isInstanceOf(ExecutionException.class);
  }

  @Test
  void aRefusedConnectionIsAFailure() {
    sidecar.close();

    Assertions.assertThatThrownBy(
            () -> sender.send(ID, new byte[] {1}, Duration.ofSeconds(5)).get())
        .isInstanceOf(ExecutionException.class);
  }

  @Test
  void retryAfterIsSecondsWithDecimals() {
    assertThat(HttpBatchSender.retryAfter("1.5")).isEqualTo(Duration.ofMillis(1_500));
    assertThat(HttpBatchSender.retryAfter("0")).isEqualTo(Duration.ZERO);
    assertThat(HttpBatchSender.retryAfter(null)).isNull();
    assertThat(HttpBatchSender.retryAfter("-1")).isNull();
    assertThat(HttpBatchSender.retryAfter("NaN")).isNull();
    assertThat(HttpBatchSender.retryAfter("Fri, 20 Nov 2026 10:00:00 GMT")).isNull();
  }
}
