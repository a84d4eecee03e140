package io.github.dl4jretention.cache;

import io.github.dl4jretention.internal.TopClasses;
import java.nio.ByteBuffer;

/**
 * See {@link CacheCodec#topK}. A token is the log-probability of each class that is not kept, then ids and
 * log-probabilities.
 */
final class TopKCodec extends CacheCodec {

    /** Below this the rest of the probability is no longer exact as a difference from 1. */
    private static final double SMALL_REST = 1e-3;

    private final int k;

    TopKCodec(int k) {
        if (k < 1) {
            throw new IllegalArgumentException("k: expected at least 1, got " + k);
        }
        this.k = k;
    }

    @Override
    public String description() {
        return "topK:" + k;
    }

    @Override
    int maxBytes(int vocabulary) {
        return Short.BYTES + Math.min(k, vocabulary) * (idBytes(vocabulary) + Short.BYTES);
    }

    @Override
    Encoder encoder(int vocabulary) {
        TopClasses top = new TopClasses(Math.min(k, vocabulary));
        int idBytes = idBytes(vocabulary);
        return (token, random, out) -> {
            top.select(token);
            writeHalf(rest(token, top), out);
            for (int rank = 0; rank < top.size(); rank++) {
                writeId(top.id(rank), idBytes, out);
                writeHalf(top.value(rank), out);
            }
        };
    }

    /** The log-probability of each class that is not kept. */
    private static double rest(float[] token, TopClasses top) {
        double rest = 1;
        for (int rank = 0; rank < top.size(); rank++) {
            rest -= Math.exp(top.value(rank));
        }
        if (rest < SMALL_REST) {
            for (int rank = 0; rank < top.size(); rank++) {
                token[top.id(rank)] = Float.NEGATIVE_INFINITY;
            }
            rest = 0;
            for (float value : token) {
                rest += Math.exp(value);
            }
        }
        return Math.log(rest / (token.length - top.size()));
    }

    @Override
    int entries(int vocabulary) {
        return Math.min(k, vocabulary);
    }

    @Override
    void decode(ByteBuffer in, int vocabulary, NamedClasses classes) {
        int idBytes = idBytes(vocabulary);
        classes.clear(toFloat(in.getShort()));
        for (int rank = entries(vocabulary); rank > 0; rank--) {
            classes.add(readId(in, idBytes), toFloat(in.getShort()));
        }
    }
}
