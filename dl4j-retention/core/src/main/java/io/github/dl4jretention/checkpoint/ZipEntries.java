package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import java.io.BufferedOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** Entries of model files, written uncompressed, for weights do not shrink; read with their checksums verified. */
final class ZipEntries {

    private ZipEntries() {}

    /** A file of entries that is being written. */
    static final class Writer {

        private final ZipOutputStream zip;
        private final Map<String, Long> checksums = new TreeMap<>();

        Writer(OutputStream out) {
            zip = new ZipOutputStream(out);
            zip.setLevel(Deflater.NO_COMPRESSION);
        }

        void add(String name, AtomicFile.Content content) throws IOException {
            ZipEntry entry = new ZipEntry(name);
            zip.putNextEntry(entry);
            OutputStream out = new BufferedOutputStream(zip, 1 << 16);
            content.writeTo(out);
            out.flush();
            zip.closeEntry();
            checksums.put(name, entry.getCrc());
        }

        /** CRC-32 of the entries so far, by their names. */
        Map<String, Long> checksums() {
            return Map.copyOf(checksums);
        }

        void finish() throws IOException {
            zip.finish();
        }
    }

    /**
     * @param name of the entry
     * @throws IOException if the file is missing, is damaged, or has no such entry; the message names it
     */
    static byte[] read(Path file, String name) throws IOException {
        return find(file, name)
                .orElseThrow(() -> new IOException("file " + file + ": expected an entry " + name + ", it has none"));
    }

    /** As {@link #read}; empty if there is no such entry. */
    static Optional<byte[]> find(Path file, String name) throws IOException {
        if (!Files.isReadable(file)) {
            throw new IOException("file: expected a readable file, got " + file);
        }
        try (ZipFile zip = new ZipFile(file.toFile())) {
            ZipEntry entry = zip.getEntry(name);
            if (entry == null) {
                return Optional.empty();
            }
            try (InputStream in = zip.getInputStream(entry)) {
                byte[] bytes = in.readAllBytes();
                if (checksum(bytes) != entry.getCrc()) {
                    throw new IOException(
                            "file " + file + ": damaged: entry " + name + ": expected its checksum, got another");
                }
                return Optional.of(bytes);
            }
        } catch (ZipException | EOFException | IllegalArgumentException e) {
            throw new IOException("file " + file + ": expected a model file, it is damaged: " + e, e);
        }
    }

    static long checksum(byte[] bytes) {
        CRC32 checksum = new CRC32();
        checksum.update(bytes);
        return checksum.getValue();
    }
}
