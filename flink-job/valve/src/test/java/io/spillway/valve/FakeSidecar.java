package io.spillway.valve;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A sidecar on loopback that says what the test says. */
final class FakeSidecar implements AutoCloseable {

  /** What came in. */
  record Request(String method, String path, List<String> headers, byte[] body) {}

  /** Answers a request. */
  interface Answer {
    void to(Request request, HttpExchange exchange) throws IOException;
  }

  final List<Request> batches = new CopyOnWriteArrayList<>();
  final List<Request> reports = new CopyOnWriteArrayList<>();

  volatile Answer onBatch =
      (request, exchange) -> reply(exchange, 200, DecodedBatch.of(request.body()).receipt());

  volatile String directive =
      """
      {"local_rate": null, "divert": true, "credits": 8, "lease_ms": 2000, "mode": "burst",
       "reason": "test"}""";

  private final HttpServer server;
  private final ExecutorService threads = Executors.newCachedThreadPool();

  FakeSidecar() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(threads);
    server.createContext("/", this::handle);
    server.start();
  }

  String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  private void handle(HttpExchange exchange) throws IOException {
    Request request =
        new Request(
            exchange.getRequestMethod(),
            exchange.getRequestURI().getPath(),
            exchange.getRequestHeaders().entrySet().stream()
                .map(header -> header.getKey() + ": " + String.join(", ", header.getValue()))
                .toList(),
            exchange.getRequestBody().readAllBytes());
    if (request.path().contains("/valves/")) {
      reports.add(request);
      reply(exchange, 200, directive);
    } else {
      batches.add(request);
      onBatch.to(request, exchange);
    }
  }

  static void reply(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }
}
