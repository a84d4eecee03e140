package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.sweep.space.FinetuneConfiguration;

/** Keeps what one candidate has come to. */
final class SingleResult implements FinetuneObserver {

    private Object network;
    private Throwable failure;

    @Override
    public void onResult(
            int candidate, FinetuneConfiguration configuration, FinetuneResult result, Double score, Object plain) {
        network = plain;
    }

    @Override
    public void onFailure(int candidate, FinetuneConfiguration configuration, Throwable reason) {
        failure = reason;
    }

    Object network() {
        if (failure != null) {
            throw new IllegalStateException("candidate: " + failure.getMessage(), failure);
        }
        return network;
    }
}
