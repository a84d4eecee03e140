package io.github.dl4jretention.internal;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A zip of a model, whose entries are read as streams of any length, each only after its checksum was compared, which
 * {@link ZipFile} doesn't do. Every error is an IOException that names the file.
 */
public final class CheckedZip implements Closeable {

    private static final int CHUNK = 1 << 16;

    private final Path file;
    private final ZipFile zip;
    private final Set<String> verified = new HashSet<>();

    /**
     * Reads what an entry holds.
     *
     * @param <T> what it is
     */
    @FunctionalInterface
    public interface Reader<T> {

        /**
         * {@return what was written}
         *
         * @param in buffered, and closed by the caller
         * @throws IOException if it's something else
         */
        T read(DataInputStream in) throws IOException;
    }

    /**
     * Opens a file.
     *
     * @param file of entries
     * @throws IOException if it's missing or no zip
     */
    public CheckedZip(Path file) throws IOException {
        this.file = file;
        if (!Files.isReadable(file)) {
            throw new IOException("file: expected a readable file, got " + file);
        }
        try {
            zip = new ZipFile(file.toFile());
        } catch (ZipException | EOFException | IllegalArgumentException e) {
            throw damaged(e);
        }
    }

    private IOException damaged(Exception e) {
        return new IOException("file " + file + ": expected a model file, it is damaged: " + e, e);
    }

    /**
     * {@return whether there's such an entry}
     *
     * @param name of the entry
     */
    public boolean has(String name) {
        return zip.getEntry(name) != null;
    }

    /**
     * {@return the CRC-32 of an entry, which its bytes have}
     *
     * @param name of the entry
     * @throws IOException if there's none, or it's damaged
     */
    public long checksum(String name) throws IOException {
        ZipEntry entry = requireEntry(name);
        if (verified.contains(name)) {
            return entry.getCrc();
        }
        CRC32 checksum = new CRC32();
        byte[] bytes = new byte[CHUNK];
        try (InputStream in = zip.getInputStream(entry)) {
            for (int read = in.read(bytes); read >= 0; read = in.read(bytes)) {
                checksum.update(bytes, 0, read);
            }
        } catch (ZipException | EOFException | IllegalArgumentException e) {
            throw damaged(e);
        }
        requireChecksum(entry, checksum.getValue());
        return entry.getCrc();
    }

    private ZipEntry requireEntry(String name) throws IOException {
        ZipEntry entry = zip.getEntry(name);
        if (entry == null) {
            throw new IOException("file " + file + ": expected an entry " + name + ", it has none");
        }
        return entry;
    }

    private void requireChecksum(ZipEntry entry, long checksum) throws IOException {
        if (checksum != entry.getCrc()) {
            throw new IOException("file " + file + ": entry " + entry.getName() + ": expected bytes of its checksum "
                    + Long.toHexString(entry.getCrc()) + ", got " + Long.toHexString(checksum)
                    + "; the file is damaged");
        }
        verified.add(entry.getName());
    }

    /**
     * {@return the CRC-32 that the file's directory gives an entry, which its bytes may not have}
     *
     * @param name of the entry
     * @throws IOException if there's none
     */
    public long statedChecksum(String name) throws IOException {
        return requireEntry(name).getCrc();
    }

    /**
     * {@return an entry's bytes, buffered; closed with the zip}
     *
     * @param name of the entry
     * @throws IOException if there's none, or it's damaged
     */
    public DataInputStream open(String name) throws IOException {
        checksum(name);
        return new DataInputStream(new BufferedInputStream(zip.getInputStream(zip.getEntry(name)), CHUNK));
    }

    /**
     * {@return what an entry holds}
     *
     * @param name   of the entry
     * @param reader of all of it
     * @param <T>    what it is
     * @throws IOException if there's none, it's damaged, the reader fails or leaves something, or memory doesn't suffice
     */
    public <T> T read(String name, Reader<T> reader) throws IOException {
        return read(name, open(name), reader);
    }

    private <T> T read(String name, DataInputStream opened, Reader<T> reader) throws IOException {
        try (DataInputStream in = opened) {
            T value = reader.read(in);
            if (in.read() >= 0) {
                throw new IOException("file " + file + ": entry " + name + ": expected its end, it holds more");
            }
            return value;
        } catch (EOFException e) {
            throw new IOException("file " + file + ": entry " + name + ": expected more, it ends early", e);
        } catch (IOException e) {
            throw String.valueOf(e.getMessage()).startsWith("file " + file)
                    ? e
                    : new IOException("file " + file + ": entry " + name + ": " + e.getMessage(), e);
        } catch (OutOfMemoryError e) {
            throw outOfMemory(name, e);
        }
    }

    /**
     * {@return an entry's array}
     *
     * @param name of the entry
     * @throws IOException if there's none, it's damaged or something else, or memory doesn't suffice
     */
    public INDArray array(String name) throws IOException {
        ZipEntry entry = requireEntry(name);
        INDArray[] made = new INDArray[1];
        boolean whole = false;
        try {
            once(entry, in -> {
                made[0] = ArrayStream.readArray(in, entry.getSize());
                return made;
            });
            whole = true;
            return made[0];
        } finally {
            if (!whole && made[0] != null) {
                made[0].close();
            }
        }
    }

    /**
     * Reads an entry's array.
     *
     * @param name of the entry
     * @param into gets its values; they may be any if this fails
     * @throws IOException if there's none, it's damaged, or of another size or type
     */
    public void array(String name, @Nullable INDArray into) throws IOException {
        ZipEntry entry = requireEntry(name);
        if (into == null) {
            throw new IOException(
                    "file " + file + ": entry " + name + ": expected no such entry, there is nothing to put it in");
        }
        once(entry, in -> {
            ArrayStream.readInto(in, into);
            return into;
        });
    }

    /** Reads a large entry and sums it up at once: the caller shows nobody what was read before it has returned. */
    private void once(ZipEntry entry, Reader<?> reader) throws IOException {
        CRC32 checksum = new CRC32();
        try {
            InputStream checked = new CheckedInputStream(new ReadAhead(zip.getInputStream(entry)), checksum);
            read(entry.getName(), new DataInputStream(checked), reader);
        } catch (IOException e) {
            // That it's damaged says more.
            checksum(entry.getName());
            throw e;
        }
        requireChecksum(entry, checksum.getValue());
    }

    /**
     * {@return an error that says how much memory an entry needs}
     *
     * @param name  of the entry
     * @param cause what ND4J or Java said
     */
    public IOException outOfMemory(String name, OutOfMemoryError cause) {
        return new IOException(
                "file " + file + ": entry " + name + ": expected memory for its "
                        + zip.getEntry(name).getSize() + " bytes, got too little ("
                        + cause.getMessage() + "); give Java more: -Xmx for its heap, "
                        + "-Dorg.bytedeco.javacpp.maxphysicalbytes for all memory",
                cause);
    }

    /**
     * {@return the bytes of an entry that an array can hold, a text say}
     *
     * @param name of the entry
     * @throws IOException if there's none, it's damaged, or it's larger than 2 GB
     */
    public byte[] bytes(String name) throws IOException {
        return read(name, InputStream::readAllBytes);
    }

    @Override
    public void close() throws IOException {
        zip.close();
    }

    /** A file of entries that is being written; uncompressed, for weights don't shrink. */
    public static final class Writer {

        private final ZipOutputStream zip;
        private final Map<String, Long> checksums = new TreeMap<>();

        /** @param out buffered; stays open */
        public Writer(OutputStream out) {
            zip = new ZipOutputStream(out) {
                {
                    // Java's own has 512 bytes.
                    buf = new byte[CHUNK];
                }
            };
            zip.setLevel(Deflater.NO_COMPRESSION);
        }

        /**
         * Adds an entry.
         *
         * @param name    of the entry
         * @param content of any length
         * @throws IOException if it can't be written
         */
        public void add(String name, AtomicFile.Content content) throws IOException {
            ZipEntry entry = new ZipEntry(name);
            zip.putNextEntry(entry);
            OutputStream out = new BufferedOutputStream(zip, CHUNK);
            content.writeTo(out);
            out.flush();
            zip.closeEntry();
            checksums.put(name, entry.getCrc());
        }

        /** {@return CRC-32 of the entries so far, by their names} */
        public Map<String, Long> checksums() {
            return Map.copyOf(checksums);
        }

        /**
         * Writes the list of entries.
         *
         * @throws IOException if it can't be written
         */
        public void finish() throws IOException {
            zip.finish();
        }
    }
}
