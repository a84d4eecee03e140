package io.github.dl4jretention.checkpoint;

import java.io.BufferedOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes files that appear at once, complete and forced to the disk, or not at all: first under a name that ends in
 * {@value #PART}.
 */
final class AtomicFile {

    private static final Logger LOG = LoggerFactory.getLogger(AtomicFile.class);
    private static final String PART = ".part";

    private AtomicFile() {}

    /** Writes what a file is to hold. */
    @FunctionalInterface
    interface Content {
        void writeTo(OutputStream out) throws IOException;
    }

    /** @throws IOException if it cannot be written; a file that was there is as it was, and the message names it */
    static void write(Path file, Content content) throws IOException {
        Path absolute = file.toAbsolutePath();
        Path part = absolute.resolveSibling(absolute.getFileName() + PART);
        boolean moved = false;
        try {
            try (FileOutputStream stream = new FileOutputStream(part.toFile())) {
                OutputStream out = new BufferedOutputStream(stream, 1 << 16);
                content.writeTo(out);
                out.flush();
                stream.getChannel().force(true);
            }
            Files.move(part, absolute, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            moved = true;
        } catch (IOException e) {
            throw new IOException("file: could not be written: " + file + ": " + e.getMessage(), e);
        } finally {
            if (!moved) {
                Files.deleteIfExists(part);
            }
        }
        force(absolute.getParent());
    }

    /** Makes a folder's list of files durable, where the system knows how. */
    private static void force(Path folder) {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException e) {
            LOG.debug("{} cannot be forced to the disk by itself here", folder, e);
        }
    }

    /** Removes what writing files whose names begin so left behind when it was killed. */
    static void removeParts(Path folder, String prefix) throws IOException {
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
