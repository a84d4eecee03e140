package io.github.dl4jretention.cache;

import java.nio.ByteBuffer;

/** Class ids in as many bytes as a vocabulary needs: 1 up to 256 classes, 2 up to 65,536, else 4. */
final class ClassIds {

    private ClassIds() {}

    static int bytes(int vocabulary) {
        return vocabulary <= 1 << 8 ? 1 : vocabulary <= 1 << 16 ? 2 : 4;
    }

    static void write(int id, int bytes, ByteBuffer out) {
        switch (bytes) {
            case 1 -> out.put((byte) id);
            case 2 -> out.putShort((short) id);
            default -> out.putInt(id);
        }
    }

    static int read(ByteBuffer in, int bytes) {
        return switch (bytes) {
            case 1 -> in.get() & 0xFF;
            case 2 -> in.getShort() & 0xFFFF;
            default -> in.getInt();
        };
    }
}
