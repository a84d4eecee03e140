package io.github.dl4jretention.merge;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** An entry of a zip that is read with its CRC-32, which {@link ZipFile} does not look at. */
final class CheckedEntry {

    private final ZipEntry entry;
    private final CheckedInputStream checked;
    private final DataInputStream in;

    /** @throws IOException if the zip has no such entry */
    CheckedEntry(ZipFile zip, String name) throws IOException {
        entry = zip.getEntry(name);
        if (entry == null) {
            throw new IOException("expected a model file of DL4J's ModelSerializer, got one without " + name);
        }
        checked = new CheckedInputStream(zip.getInputStream(entry), new CRC32());
        in = new DataInputStream(new BufferedInputStream(checked));
    }

    /** Buffered; closed with the zip. */
    DataInputStream in() {
        return in;
    }

    /** All of it. */
    byte[] read() throws IOException {
        byte[] bytes = in.readAllBytes();
        requireEnd();
        return bytes;
    }

    /** @throws IOException if more follows, or what was read is not what was written */
    void requireEnd() throws IOException {
        if (in.read() >= 0) {
            throw new IOException("expected the end of " + entry.getName() + " after the last parameter, got more");
        }
        if (checked.getChecksum().getValue() != entry.getCrc()) {
            throw new IOException("expected CRC-32 " + Long.toHexString(entry.getCrc()) + " of " + entry.getName()
                    + ", got " + Long.toHexString(checked.getChecksum().getValue()));
        }
    }
}
