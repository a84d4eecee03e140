package io.github.dl4jretention.lm.huggingface;

import java.nio.ByteBuffer;
import org.bytedeco.javacpp.indexer.HalfIndexer;

/** Types of the numbers in safetensors files. Weights have one of three; others occur in buffers beside them. */
enum TensorType {
    F32(4) {
        @Override
        boolean read(ByteBuffer from, float[] to, int count) {
            boolean finite = true;
            for (int i = 0; i < count; i++) {
                to[i] = from.getFloat();
                finite &= Float.isFinite(to[i]);
            }
            return finite;
        }

        @Override
        boolean write(float[] from, ByteBuffer to, int count) {
            boolean finite = true;
            for (int i = 0; i < count; i++) {
                to.putFloat(from[i]);
                finite &= Float.isFinite(from[i]);
            }
            return finite;
        }
    },
    F16(2) {
        @Override
        boolean read(ByteBuffer from, float[] to, int count) {
            boolean finite = true;
            for (int i = 0; i < count; i++) {
                to[i] = HALVES[from.getShort() & 0xFFFF];
                finite &= Float.isFinite(to[i]);
            }
            return finite;
        }

        @Override
        boolean write(float[] from, ByteBuffer to, int count) {
            boolean finite = true;
            for (int i = 0; i < count; i++) {
                int half = half(from[i]);
                to.putShort((short) half);
                finite &= (half & HALF_INFINITY) != HALF_INFINITY;
            }
            return finite;
        }
    },
    BF16(2) {
        @Override
        boolean read(ByteBuffer from, float[] to, int count) {
            boolean finite = true;
            for (int i = 0; i < count; i++) {
                to[i] = Float.intBitsToFloat(from.getShort() << 16);
                finite &= Float.isFinite(to[i]);
            }
            return finite;
        }

        @Override
        boolean write(float[] from, ByteBuffer to, int count) {
            boolean finite = true;
            for (int i = 0; i < count; i++) {
                int bits = Float.floatToRawIntBits(from[i]);
                int rounded = bits + 0x7FFF + (bits >>> 16 & 1) >>> 16;
                to.putShort((short) rounded);
                finite &= Float.isFinite(from[i]) && (rounded & 0x7F80) != 0x7F80;
            }
            return finite;
        }
    },
    F64(8),
    I64(8),
    U64(8),
    I32(4),
    U32(4),
    I16(2),
    U16(2),
    I8(1),
    U8(1),
    BOOL(1),
    F8_E4M3(1),
    F8_E5M2(1);

    private static final int HALF_INFINITY = 0x7C00;
    private static final float[] HALVES = new float[1 << 16];

    static {
        for (int bits = 0; bits < HALVES.length; bits++) {
            HALVES[bits] = HalfIndexer.toFloat(bits);
        }
    }

    private final int bytes;

    TensorType(int bytes) {
        this.bytes = bytes;
    }

    int bytes() {
        return bytes;
    }

    boolean isWeight() {
        return this == F32 || this == F16 || this == BF16;
    }

    /** {@return whether all numbers are finite} */
    boolean read(ByteBuffer from, float[] to, int count) {
        throw new UnsupportedOperationException(name());
    }

    /** {@return whether all numbers are finite, rounded to this type} Ties go to the even number. */
    boolean write(float[] from, ByteBuffer to, int count) {
        throw new UnsupportedOperationException(name());
    }

    private static int half(float value) {
        int bits = Float.floatToRawIntBits(value);
        int sign = bits >>> 16 & 0x8000;
        int magnitude = bits & 0x7FFFFFFF;
        if (magnitude >= 0x47800000) {
            return sign | (magnitude > 0x7F800000 ? HALF_INFINITY | 0x200 : HALF_INFINITY);
        }
        if (magnitude < 0x38800000) {
            // Below 2^-14 the step is 2^-24; the product is exact and rint goes to even.
            return sign | (int) Math.rint(Float.intBitsToFloat(magnitude) * 0x1p24f);
        }
        return sign | magnitude - 0x38000000 + 0xFFF + (magnitude >>> 13 & 1) >>> 13;
    }
}
