package io.spillway.valve;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/** Without a sidecar there is no directive, so nothing is ever diverted. */
enum NoSender implements BatchSender {
  INSTANCE;

  @Override
  public CompletableFuture<Answer> send(String id, byte[] message, Duration deadline) {
    return CompletableFuture.failedFuture(new IllegalStateException("there is no sidecar"));
  }

  @Override
  public void close() {
    // There is nothing to close.
  }
}
