package io.github.dl4jretention.internal;

import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A file that appears at once, complete and forced to the disk, or not at all: it is written as {@link #part()}, a name
 * beside its own that ends in {@value #PART}, and gets its own by {@link #commit()}. Where it is not committed, closing
 * it removes the part, and a file that was there before is as it was.
 */
public final class AtomicFile implements Closeable {

    /** How the names of unfinished files end. */
    public static final String PART = ".part";

    private static final Logger LOG = LoggerFactory.getLogger(AtomicFile.class);

    private final Path file;
    private final Path part;

    /** Writes what a file is to hold. */
    @FunctionalInterface
    public interface Content {

        /**
         * Writes it.
         *
         * @param out buffered, and closed by the caller
         * @throws IOException if it cannot be written
         */
        void writeTo(OutputStream out) throws IOException;
    }

    /**
     * Writes nothing yet.
     *
     * @param file to write; its folder must exist
     */
    public AtomicFile(Path file) {
        this.file = file.toAbsolutePath();
        part = this.file.resolveSibling(this.file.getFileName() + PART);
    }

    /**
     * Writes a whole file.
     *
     * @param file    replaced if it is there; its folder must exist
     * @param content of it
     * @throws IOException if it cannot be written; a file that was there is as it was, and the message names it
     */
    public static void write(Path file, Content content) throws IOException {
        try (AtomicFile atomic = new AtomicFile(file)) {
            try (OutputStream out = new WriteBehind(Files.newOutputStream(atomic.part()))) {
                content.writeTo(out);
            }
            atomic.commit();
        } catch (IOException e) {
            throw new IOException("file: could not be written: " + file + ": " + e.getMessage(), e);
        }
    }

    /** {@return where to write; it may be there already, left by a process that was killed} */
    public Path part() {
        return part;
    }

    /**
     * Gives the file its name.
     *
     * @throws IOException if that fails; the file that was there is as it was
     */
    public void commit() throws IOException {
        try (FileChannel written = FileChannel.open(part, StandardOpenOption.WRITE)) {
            written.force(true);
        }
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        force(Objects.requireNonNull(file.toAbsolutePath().getParent()));
    }

    /** Makes a folder's list of files durable, where the system knows how. */
    private static void force(Path folder) {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException e) {
            LOG.debug("{} cannot be forced to the disk by itself here", folder, e);
        }
    }

    /** Leaves nothing of a file that is not complete. */
    @Override
    public void close() throws IOException {
        Files.deleteIfExists(part);
    }

    /**
     * Removes what writing files left behind when it was killed.
     *
     * @param folder of the files
     * @param prefix how their names begin
     * @throws IOException if one cannot be removed
     */
    public static void removeParts(Path folder, String prefix) throws IOException {
        List<Path> parts;
        try (Stream<Path> files = Files.list(folder)) {
            parts = files.filter(file -> file.getFileName().toString().startsWith(prefix)
                            && file.getFileName().toString().endsWith(PART))
                    .toList();
        }
        for (Path part : parts) {
            Files.delete(part);
        }
    }
}
