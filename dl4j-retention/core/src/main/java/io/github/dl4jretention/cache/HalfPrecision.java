package io.github.dl4jretention.cache;

import org.bytedeco.javacpp.indexer.HalfIndexer;

/**
 * Numbers of 16 bits (IEEE 754 binary16). Rounding moves a number by at most 2^-11 of itself, below 2^-14 by at most
 * 2^-25; what is below -65519 becomes {@code -inf}.
 */
final class HalfPrecision {

    private static final float[] VALUES = new float[1 << 16];

    static {
        for (int bits = 0; bits < VALUES.length; bits++) {
            VALUES[bits] = HalfIndexer.toFloat(bits);
        }
    }

    private HalfPrecision() {}

    static short of(double value) {
        return (short) HalfIndexer.fromFloat((float) value);
    }

    static float toFloat(short bits) {
        return VALUES[bits & 0xFFFF];
    }
}
