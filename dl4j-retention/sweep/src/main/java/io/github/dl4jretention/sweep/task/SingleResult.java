package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.sweep.space.FinetuneConfiguration;

/** Keeps what one candidate has come to. */
final class SingleResult implements FinetuneObserver {

    private Object network;
    private Throwable failure;
    private Throwable error;

    @Override
    public void onResult(
            int candidate, FinetuneConfiguration configuration, FinetuneResult result, Double score, Object plain) {
        network = plain;
    }

    @Override
    public void onFailure(int candidate, FinetuneConfiguration configuration, Throwable reason) {
        failure = reason;
    }

    @Override
    public void onError(int candidate, Throwable reason) {
        error = reason;
    }

    Object network() {
        if (error instanceof InterruptedException) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("candidate: interrupted before it was trained", error);
        }
        if (error instanceof Error fatal) {
            throw fatal;
        }
        if (error instanceof RuntimeException exception) {
            throw exception;
        }
        Throwable reason = failure == null ? error : failure;
        if (reason != null) {
            throw new IllegalStateException("candidate: " + reason.getMessage(), reason);
        }
        return network;
    }
}
