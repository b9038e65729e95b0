package io.spillway.valve;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import javax.annotation.Nullable;

/** Sends batches over HTTP: {@code PUT /v1/jobs/{job}/batches/{batch}}. */
final class HttpBatchSender implements BatchSender {

  private final HttpClient client;
  private final ValveConfig config;

  HttpBatchSender(HttpClient client, ValveConfig config) {
    this.client = client;
    this.config = config;
  }

  @Override
  public CompletableFuture<Answer> send(String id, byte[] message, Duration deadline) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(
                URI.create(config.sidecar() + "/v1/jobs/" + config.job() + "/batches/" + id))
            .header("Content-Type", "application/x-protobuf")
            .header("Spillway-Deadline-Ms", Long.toString(Math.max(1, deadline.toMillis())))
            .timeout(deadline)
            .PUT(new ArrayPublisher(message));
    if (config.token() != null) {
      request.header("Authorization", "Bearer " + config.token());
    }
    CompletableFuture<HttpResponse<byte[]>> response =
        client.sendAsync(request.build(), HttpResponse.BodyHandlers.ofByteArray());
    // The client's own time-out ends with the headers; this one is for the body.
    return response
        .orTimeout(deadline.toNanos(), TimeUnit.NANOSECONDS)
        .thenApply(
            r ->
                new Answer(
                    r.statusCode(),
                    r.body(),
                    retryAfter(r.headers().firstValue("Retry-After").orElse(null))));
  }

  /**
   * Reads {@code Retry-After} in seconds, decimals allowed; null if it says nothing of the kind.
   */
  @Nullable
  static Duration retryAfter(@Nullable String value) {
    if (value == null) {
      return null;
    }
    try {
      double seconds = Double.parseDouble(value);
      return seconds >= 0 && seconds < 86_400 ? Duration.ofNanos((long) (seconds * 1e9)) : null;
    } catch (NumberFormatException e) {
      return null;
    }
  }

  @Override
  public void close() {
    // The client's connections are closed when the client is collected (JDK 17 has no close()).
  }
}
