package io.spillway.valve;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;

/** Reports over HTTP: {@code POST /v1/jobs/{job}/valves/{valve}/{subtask}}. */
final class HttpReportTransport implements ReportTransport {

  /** An answer that takes longer is of no use: the next report says more. */
  private static final Duration TIMEOUT = Duration.ofSeconds(1);

  private final HttpClient client;
  private final URI uri;
  private final ValveConfig config;

  HttpReportTransport(HttpClient client, ValveConfig config, ValveIdentity identity) {
    this.client = client;
    this.config = config;
    this.uri =
        URI.create(
            config.sidecar()
                + "/v1/jobs/"
                + config.job()
                + "/valves/"
                + config.valve()
                + "/"
                + identity.subtask());
  }

  @Override
  public CompletableFuture<byte[]> post(byte[] report) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(uri)
            .header("Content-Type", "application/json")
            .timeout(TIMEOUT)
            .POST(HttpRequest.BodyPublishers.ofByteArray(report));
    if (config.token() != null) {
      request.header("Authorization", "Bearer " + config.token());
    }
    return client
        .sendAsync(request.build(), HttpResponse.BodyHandlers.ofByteArray())
        .orTimeout(TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
        .thenApply(HttpReportTransport::bodyOf200);
  }

  private static byte[] bodyOf200(HttpResponse<byte[]> response) {
    if (response.statusCode() != 200) {
      String body = new String(response.body(), StandardCharsets.UTF_8).strip();
      throw new CompletionException(
          new IOException(
              "status "
                  + response.statusCode()
                  + ": "
                  + body.substring(0, Math.min(body.length(), 300))));
    }
    return response.body();
  }
}
