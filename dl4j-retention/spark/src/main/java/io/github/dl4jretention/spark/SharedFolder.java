package io.github.dl4jretention.spark;

import io.github.dl4jretention.internal.AtomicFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.Serializable;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;

/**
 * A folder of any of Hadoop's file systems, which all machines see. Files appear whole or not at all.
 *
 * @param uri      such as {@code hdfs://namenode/caches} or {@code file:///shared/caches}
 * @param settings of Hadoop on the driver, {@code fs.s3a.endpoint} and the like
 */
record SharedFolder(String uri, TreeMap<String, String> settings) implements Serializable {

    static SharedFolder of(String uri, Configuration hadoop) {
        TreeMap<String, String> settings = new TreeMap<>();
        for (Map.Entry<String, String> setting : hadoop) {
            settings.put(setting.getKey(), setting.getValue());
        }
        return new SharedFolder(uri, settings);
    }

    SharedFolder in(String name) {
        return new SharedFolder(uri + "/" + name, settings);
    }

    private FileSystem system() throws IOException {
        Configuration hadoop = new Configuration(false);
        settings.forEach(hadoop::set);
        return FileSystem.get(URI.create(uri), hadoop);
    }

    private org.apache.hadoop.fs.Path path(String name) {
        return new org.apache.hadoop.fs.Path(uri, name);
    }

    boolean has(String name) throws IOException {
        return system().exists(path(name));
    }

    /** Names of its files; none if it isn't there. */
    List<String> names() throws IOException {
        FileSystem system = system();
        org.apache.hadoop.fs.Path folder = new org.apache.hadoop.fs.Path(uri);
        if (!system.exists(folder)) {
            return List.of();
        }
        List<String> names = new ArrayList<>();
        for (FileStatus status : system.listStatus(folder)) {
            if (status.isFile()) {
                names.add(status.getPath().getName());
            }
        }
        names.sort(null);
        return names;
    }

    InputStream open(String name) throws IOException {
        return system().open(path(name));
    }

    /** Replaces a file. If that fails, what was there stays. */
    void write(String name, ByteChunks.Content content) throws IOException {
        FileSystem system = system();
        // Two tries of one task may write at once.
        org.apache.hadoop.fs.Path part = path(name + "." + Long.toHexString(System.nanoTime()) + AtomicFile.PART);
        try {
            try (OutputStream out = system.create(part, true)) {
                content.writeTo(out);
            }
            // Hadoop doesn't replace files.
            if (!system.rename(part, path(name))) {
                system.delete(path(name), false);
                if (!system.rename(part, path(name))) {
                    throw new IOException("file: couldn't be written: " + path(name));
                }
            }
        } finally {
            system.delete(part, false);
        }
    }

    void delete(String name) throws IOException {
        system().delete(path(name), false);
    }

    void deleteAll() throws IOException {
        system().delete(new org.apache.hadoop.fs.Path(uri), true);
    }

    /** Copies whole files that a folder of this machine lacks, or has in another length. */
    void fetch(Path folder) throws IOException {
        Files.createDirectories(folder);
        for (String name : names()) {
            Path file = folder.resolve(name);
            if (!name.endsWith(AtomicFile.PART)
                    && (!Files.exists(file)
                            || Files.size(file)
                                    != system().getFileStatus(path(name)).getLen())) {
                try (AtomicFile copy = new AtomicFile(file)) {
                    try (InputStream in = open(name)) {
                        Files.copy(in, copy.part(), StandardCopyOption.REPLACE_EXISTING);
                    }
                    copy.commit();
                }
            }
        }
    }

    /** Makes this folder what one of this machine is; files of some endings only. */
    void publish(Path folder, String... endings) throws IOException {
        List<String> own = new ArrayList<>();
        try (var files = Files.list(folder)) {
            files.map(file -> file.getFileName().toString())
                    .filter(name -> Arrays.stream(endings).anyMatch(name::endsWith))
                    .sorted()
                    .forEach(own::add);
        }
        for (String name : names()) {
            if (!own.contains(name)) {
                delete(name);
            }
        }
        for (String name : own) {
            try (InputStream in = Files.newInputStream(folder.resolve(name))) {
                write(name, in::transferTo);
            }
        }
    }
}
