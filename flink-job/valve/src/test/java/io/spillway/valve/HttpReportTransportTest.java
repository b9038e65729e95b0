package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeoutException;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The real transport against a real server on loopback. */
@Timeout(30)
class HttpReportTransportTest {

  private static final String PATH = "/v1/jobs/wordcount/valves/valve/0";

  private final ExecutorService serverThreads = Executors.newCachedThreadPool();
  private final ExecutorService executor = Executors.newSingleThreadExecutor();
  private final List<String> seen = Collections.synchronizedList(new ArrayList<>());
  private final List<InetSocketAddress> peers = Collections.synchronizedList(new ArrayList<>());
  private HttpServer server;

  @BeforeEach
  void start() throws Exception {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(serverThreads);
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
    executor.shutdownNow();
    serverThreads.shutdownNow();
  }

  @Test
  void aReportArrivesWholeWithItsTokenAndTheBodyComesBack() throws Exception {
    answer(200, "directive", null);

    byte[] body = transport(Duration.ofSeconds(10)).post(bytes("{\"a\":1}")).get();

    assertThat(body).isEqualTo(bytes("directive"));
    assertThat(seen).containsExactly("POST " + PATH + " application/json Bearer secret {\"a\":1}");
  }

  @Test
  void reportsShareOneConnection() throws Exception {
    answer(200, "directive", null);
    HttpReportTransport transport = transport(Duration.ofSeconds(10));

    transport.post(bytes("1")).get();
    transport.post(bytes("2")).get();

    assertThat(peers).hasSize(2);
    assertThat(peers.get(0)).isEqualTo(peers.get(1));
  }

  @Test
  void aRefusalIsAFailureThatSaysWhatCame() {
    answer(503, "stopping", null);

    assertThatThrownBy(() -> transport(Duration.ofSeconds(10)).post(bytes("1")).get())
        .isInstanceOf(ExecutionException.class)
        .hasMessageContaining("status 503: stopping");
  }

  @Test
  void aRedirectIsNotFollowed() {
    answer(307, "elsewhere", PATH + "/other");

    assertThatThrownBy(() -> transport(Duration.ofSeconds(10)).post(bytes("1")).get())
        .hasMessageContaining("status 307");
    assertThat(seen).hasSize(1);
  }

  @Test
  void anAnswerWithoutEndIsRefused() {
    answer(200, "x".repeat(100_000), null);

    assertThatThrownBy(() -> transport(Duration.ofSeconds(10)).post(bytes("1")).get())
        .hasMessageContaining("more than 65536 bytes");
  }

  @Test
  void aSidecarThatNeverAnswersHoldsNeitherTheReportNorTheThread() {
    CountDownLatch never = new CountDownLatch(1);
    server.createContext(
        "/",
        exchange -> {
          await(never);
          exchange.close();
        });

    assertThatThrownBy(() -> transport(Duration.ofMillis(100)).post(bytes("1")).get())
        .hasRootCauseInstanceOf(TimeoutException.class);
    // The thread is free again, or this would hang.
    assertThat(executor.submit(() -> "free")).succeedsWithin(Duration.ofSeconds(10));
    never.countDown();
  }

  @Test
  void afterClosingAReportFailsInsteadOfThrowing() {
    executor.shutdownNow();

    assertThat(transport(Duration.ofSeconds(1)).post(bytes("1"))).isCompletedExceptionally();
  }

  private HttpReportTransport transport(Duration timeout) {
    Configuration options = TestConfig.options();
    options.set(
        ValveOptions.SIDECAR_URL, "http://127.0.0.1:" + server.getAddress().getPort() + "/");
    options.set(ValveOptions.SIDECAR_TOKEN, "secret");
    return new HttpReportTransport(
        executor,
        timeout,
        ValveConfig.of("valve", options),
        ValveIdentity.of("0123456789abcdef", "valve", 0, 1));
  }

  private void answer(int status, String body, String location) {
    server.createContext(
        "/",
        exchange -> {
          peers.add(exchange.getRemoteAddress());
          seen.add(
              exchange.getRequestMethod()
                  + " "
                  + exchange.getRequestURI()
                  + " "
                  + exchange.getRequestHeaders().getFirst("Content-Type")
                  + " "
                  + exchange.getRequestHeaders().getFirst("Authorization")
                  + " "
                  + new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
          if (location != null) {
            exchange.getResponseHeaders().add("Location", location);
          }
          exchange.sendResponseHeaders(status, body.length());
          exchange.getResponseBody().write(bytes(body));
          exchange.close();
        });
  }

  private static void await(CountDownLatch latch) throws IOException {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
