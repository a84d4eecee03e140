package io.github.dl4jretention.cache;

import io.github.dl4jretention.internal.AtomicFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The folder of one key's shards. A manifest says that they are all there; its text follows from the key and the
 * shards, so that it is never read, only compared.
 */
final class CacheFolder {

    private static final String MANIFEST = "manifest.txt";
    private static final String SHARD = "%05d.shard";
    private static final int NAME_DIGITS = 16;

    private final CacheKey key;
    private final String sha256;
    private final Path path;

    /** @param root where caches of all keys lie */
    CacheFolder(Path root, CacheKey key) {
        this.key = key;
        sha256 = key.sha256();
        path = root.resolve(sha256.substring(0, NAME_DIGITS));
    }

    /**
     * What is in the folder.
     *
     * @param shards   those that are as they were written
     * @param damaged  what is wrong with the others
     * @param complete whether every sequence is in the shards
     * @param finished whether it was complete once
     */
    record Content(List<Shard> shards, List<String> damaged, boolean complete, boolean finished) {}

    Path path() {
        return path;
    }

    String sha256() {
        return sha256;
    }

    /** Reads and verifies all shards. */
    Content content() throws IOException {
        List<Shard> shards = new ArrayList<>();
        List<String> damaged = new ArrayList<>();
        for (Path file : files(".shard")) {
            try {
                shards.add(Shard.open(file, sha256));
            } catch (Shard.DamagedException e) {
                damaged.add(e.getMessage());
            }
        }
        byte[] manifest = readManifest();
        boolean complete = damaged.isEmpty() && manifest != null && Arrays.equals(manifest, manifest(shards));
        return new Content(shards, damaged, complete, manifest != null);
    }

    /** Null if there is none, or none any more: without the lock another process may remove it at any time. */
    private byte @Nullable [] readManifest() throws IOException {
        Path manifest = path.resolve(MANIFEST);
        try {
            return Files.exists(manifest) ? Files.readAllBytes(manifest) : null;
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    /** Removes all but the shards given. */
    void keepOnly(List<Shard> shards) throws IOException {
        Files.deleteIfExists(path.resolve(MANIFEST));
        List<Path> kept = shards.stream().map(Shard::file).toList();
        for (Path file : files(".shard")) {
            if (!kept.contains(file)) {
                Files.delete(file);
            }
        }
    }

    /** A name that no shard has. */
    Path nextShard() {
        int number = 0;
        while (Files.exists(shard(number))) {
            number++;
        }
        return shard(number);
    }

    private Path shard(int number) {
        return path.resolve(String.format(Locale.ROOT, SHARD, number));
    }

    void writeManifest(List<Shard> shards) throws IOException {
        AtomicFile.write(path.resolve(MANIFEST), out -> out.write(manifest(shards)));
    }

    private byte[] manifest(List<Shard> shards) {
        StringBuilder text = new StringBuilder();
        text.append("dl4j-retention teacher cache, format ").append(CacheKey.FORMAT);
        text.append("\nkey ").append(sha256);
        text.append("\nteacher ").append(key.teacher()).append(", outputs ").append(key.outputs());
        text.append("\ncodec ").append(key.codec()).append(", seed ").append(key.seed());
        text.append("\ndata ").append(key.data());
        text.append("\ntokenisation ").append(key.tokenisation()).append('\n');
        for (Shard shard : shards) {
            text.append(String.format(
                    Locale.ROOT,
                    "%s: %d sequences, %d tokens, %d bytes, CRC-32C %08x\n",
                    shard.file().getFileName(),
                    shard.sequences(),
                    shard.tokens(),
                    shard.bytes().limit(),
                    shard.checksum()));
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    private List<Path> files(String ending) throws IOException {
        if (!Files.isDirectory(path)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(path)) {
            return files.filter(file -> file.toString().endsWith(ending))
                    .sorted()
                    .toList();
        }
    }
}
