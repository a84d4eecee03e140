package io.github.dl4jretention.internal;

import org.nd4j.linalg.api.buffer.DataType;

/** Whole numbers in arrays of floating point, which round what they can't hold: 2049 in HALF is 2048. */
public final class WholeNumbers {

    private static final int FLOAT_BITS = 24;
    private static final int HALF_BITS = 11;
    private static final int BFLOAT16_BITS = 8;
    private static final int DOUBLE_BITS = 53;

    private WholeNumbers() {}

    /** {@return the smallest whole number above 0 that an array may hold in place of another: 2^24 for FLOAT, 2^11 for
     * HALF} */
    public static long firstInexact(DataType type) {
        return switch (type) {
            case FLOAT -> 1L << FLOAT_BITS;
            case HALF -> 1L << HALF_BITS;
            case BFLOAT16 -> 1L << BFLOAT16_BITS;
            case DOUBLE -> 1L << DOUBLE_BITS;
            default -> Long.MAX_VALUE;
        };
    }

    /**
     * {@return whether an id may be another that an array rounded}
     *
     * @param id    from 0 to count - 1
     * @param type  of the array
     * @param count of all ids; with 2049 of them 2048 is the last, so that in HALF it's no other
     */
    public static boolean isAmbiguous(double id, DataType type, long count) {
        long first = firstInexact(type);
        return id >= first && count - 1 > first;
    }

    /**
     * Refuses an id that may be another.
     *
     * @param id    from 0 to count - 1
     * @param type  of the array
     * @param count of all ids
     * @param what  begins the message: the argument
     * @param where ends it: the array
     * @throws IllegalArgumentException if so
     */
    public static void requireExact(double id, DataType type, long count, String what, String where) {
        if (isAmbiguous(id, type, count)) {
            throw new IllegalArgumentException(what + ": expected class ids below " + firstInexact(type) + ", which "
                    + type + " holds exactly, got " + (long) id + " in " + where + "; give them as INT32");
        }
    }
}
