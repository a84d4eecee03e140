package io.github.dl4jretention.lm.layers;

/**
 * Turns the pairs of a head's numbers by the angles of {@link RotaryPositions}: {@code (a, b)} becomes
 * {@code (a cos - b sin, a sin + b cos)}, and on the way back the gradient is turned by the opposite angle. Sines and
 * cosines are computed in DOUBLE, once for each position.
 */
final class FloatRotary {

    private final double[] frequencies;
    private final boolean interleaved;
    private float[] cosines = new float[0];
    private float[] sines = new float[0];

    FloatRotary(RotaryPositions positions, int headSize) {
        frequencies = positions.frequencies(headSize);
        interleaved = positions.isInterleaved();
    }

    /** Before positions up to one, exclusive, are used. */
    void prepare(int positions) {
        int pairs = frequencies.length;
        if (cosines.length >= positions * pairs) {
            return;
        }
        int size = Math.max(positions, 2 * (cosines.length / pairs));
        cosines = new float[size * pairs];
        sines = new float[size * pairs];
        for (int position = 0; position < size; position++) {
            for (int i = 0; i < pairs; i++) {
                cosines[position * pairs + i] = (float) Math.cos(position * frequencies[i]);
                sines[position * pairs + i] = (float) Math.sin(position * frequencies[i]);
            }
        }
    }

    /** @param direction 1 for forward, -1 for backward */
    void turn(float[] x, int offset, int position, float direction) {
        int pairs = frequencies.length;
        int table = position * pairs;
        int step = interleaved ? 2 : 1;
        int second = offset + (interleaved ? 1 : pairs);
        for (int i = 0; i < pairs; i++) {
            float a = x[offset + step * i];
            float b = x[second + step * i];
            float cosine = cosines[table + i];
            float sine = direction * sines[table + i];
            x[offset + step * i] = a * cosine - b * sine;
            x[second + step * i] = a * sine + b * cosine;
        }
    }
}
