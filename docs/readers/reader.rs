// Prints the records of its pipes, one a line.   rustc -O -o reader reader.rs
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::io::FromRawFd;
use std::{env, process, thread};

extern "C" {
    fn signal(number: i32, action: usize) -> usize;
}

fn print_records(fd: i32) -> io::Result<()> {
    let mut pipe = BufReader::with_capacity(1 << 18, unsafe { File::from_raw_fd(fd) });
    let mut head = [0; 4];
    while pipe.read(&mut head[..1])? == 1 {
        pipe.read_exact(&mut head[1..])?; // goes on after a short read
        let mut record = vec![0; u32::from_le_bytes(head) as usize];
        pipe.read_exact(&mut record)?; // UnexpectedEof: the pipe has ended inside a record
        record.push(b'\n');
        io::stdout().write_all(&record)?; // one call: lines of several threads stay whole
    }
    Ok(())
}

fn main() {
    unsafe { signal(15, 1) }; // SIGTERM, SIG_IGN: the end of the pipes is the end
    let fds = env::args().skip(1).map(|fd| fd.parse().expect("a number"));
    let readers: Vec<_> = fds
        .map(|fd| thread::spawn(move || print_records(fd)))
        .collect();
    let ends = readers.into_iter().map(|reader| reader.join().unwrap());
    let codes = ends.map(|end| match end {
        Ok(()) => 0,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => 65,
        Err(_) => 74,
    });
    process::exit(codes.max().unwrap_or(0));
}
